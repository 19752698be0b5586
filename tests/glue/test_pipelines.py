"""The two job scripts as Glue starts them: arguments, s3:// paths, files beside the script."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from tests.glue.documents import EVE, GOLDEN_DAY, make_document, store_document

pytestmark = pytest.mark.spark


class FakeJob:
    """Glue's Job, which only remembers whether it was committed."""

    committed = 0

    def __init__(self, context: Any) -> None:
        self.context = context

    def init(self, name: str, arguments: dict[str, str]) -> None:
        assert name == arguments["JOB_NAME"]

    def commit(self) -> None:
        FakeJob.committed += 1


class FakeGlueContext:
    def __init__(self, context: Any) -> None:
        self.spark_session = SparkSession(context)


def resolve_options(argv: list[str], names: list[str]) -> dict[str, str]:
    return {name: argv[argv.index(f"--{name}") + 1] for name in names}


@pytest.fixture
def glue(monkeypatch: pytest.MonkeyPatch, spark: SparkSession) -> None:
    """Glue's own module, as far as the scripts use it."""
    contents: dict[str, dict[str, Any]] = {
        "awsglue": {},
        "awsglue.context": {"GlueContext": FakeGlueContext},
        "awsglue.job": {"Job": FakeJob},
        "awsglue.utils": {"getResolvedOptions": resolve_options},
    }
    for name, members in contents.items():
        module = ModuleType(name)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(FakeJob, "committed", 0)


def start_job(monkeypatch: pytest.MonkeyPatch, job_folder: Path, script: str, sessions: str) -> None:
    monkeypatch.syspath_prepend(job_folder)
    for name in ("market_documents", "market_tables", script):
        monkeypatch.delitem(sys.modules, name, raising=False)
    arguments = {"JOB_NAME": script, "bucket": "lake", "staging": f"staging/{script}", "sessions": sessions}
    monkeypatch.setattr(sys, "argv", [script, *[part for k, v in arguments.items() for part in (f"--{k}", v)]])
    importlib.import_module(script).main()


@pytest.mark.usefixtures("glue")
@pytest.mark.parametrize(
    "job",
    [("processing_pipeline", "processed", "ticker"), ("analytics_pipeline", "analytics", "trading_date")],
)
def test_a_job_leaves_every_table_below_its_staging_folder(
    monkeypatch: pytest.MonkeyPatch, bucket: Path, job_folder: Path, job: tuple[str, str, str]
) -> None:
    script, form, first_column = job
    staging = bucket / "staging" / script
    store_document(staging, make_document())
    store_document(staging, make_document(EVE), EVE)
    start_job(monkeypatch, job_folder, script, "2024-12-13,2024-12-12")
    assert FakeJob.committed == 1
    assert sorted(folder.name for folder in staging.iterdir()) == sorted([form, "market_data"])
    files = sorted((staging / form).rglob("*"))
    assert len([file for file in files if file.is_file()]) == 6 * 2
    (details,) = (staging / form / "company_details" / f"trading_date={GOLDEN_DAY}").iterdir()
    assert pq.ParquetFile(details).schema_arrow.names[0] == first_column


@pytest.mark.usefixtures("glue")
def test_a_job_that_fails_is_not_committed(monkeypatch: pytest.MonkeyPatch, job_folder: Path) -> None:
    with pytest.raises(Exception, match=r"there is no document at s3://lake/staging/processing_pipeline/.*1999-01-04"):
        start_job(monkeypatch, job_folder, "processing_pipeline", "1999-01-04")
    assert FakeJob.committed == 0

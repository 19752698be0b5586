"""Setting up a sandbox: by the DAG through Airflow, and by its functions where every state can be made quickly."""

# ruff: noqa: S608 - the tests write SQL

from __future__ import annotations

import io
import os
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mag7.lake import catalog, scripts
from mag7.lake.catalog import CatalogDiffersError, Partition, register_partitions
from mag7.lake.keys import DATABASE, STAGING_DATABASE
from mag7.lake.tables import list_published_tables, list_tables
from mag7.settings import read_settings
from mag7.tasks.facts import publish_packaged
from mag7.tasks.setup import Place, list_gaps, list_missing_infrastructure
from mag7.warehouse import migrations
from mag7.warehouse.migrations import SchemaNewerError
from sandbox.airflow_home import prepare_airflow
from sandbox.provision import ProvisioningError, open_sandbox, provision_infrastructure
from sandbox.setup import set_up_sandbox
from sandbox.stack import REGION, Stack, run_stack
from tests.e2e.house import AirflowProcess
from tests.sandbox.aws.running import Sandbox, start_sandbox

DAY = "2024-12-13"
FILES = [migration.file_name for migration in migrations.list_migrations()]
OURS = len(FILES)
SCRIPTS = len(scripts.list_script_files())
NEWER_VERSION = f"INSERT INTO market_data.schema_version VALUES ({OURS + 1}, 'x.sql', 'd', GETDATE())"
TASKS = {"check_infrastructure", "upload_scripts", "publish_facts", "create_catalog", "migrate_schema", "check_setup"}
READY = re.compile(r"\[DAG TEST\] end task task_id=(\w+)")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    running = start_sandbox(tmp_path_factory.mktemp("aws"))
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def regions() -> Iterator[str]:
    """Regions that nobody used yet: the catalog and the Glue jobs are one's region's."""
    return iter(("us-east-2", "us-west-1", "eu-west-1", "eu-west-2", "eu-west-3", "eu-central-1", "ap-south-1"))


@pytest.fixture
def bare(sandbox: Sandbox, regions: Iterator[str]) -> Place:
    """A region with a bucket's name and a database of a test's own, in which nothing is."""
    region = next(regions)
    name = f"lake-{region}"
    environment = {
        "AWS_ENDPOINT_URL": sandbox.url,
        "MAG7_BUCKET": name,
        "MAG7_REDSHIFT_DATABASE": name.replace("-", "_"),
    }
    return open_sandbox(read_settings(environment), region)


@pytest.fixture
def place(bare: Place) -> Place:
    """The same, provisioned but not set up."""
    provision_infrastructure(bare.settings, bare.open_client("glue").meta.region_name)
    return bare


def set_up(place: Place) -> tuple[int, list[str], list[str]]:
    """What mag7_setup's tasks do, and what each made."""
    publish_packaged(place.store)
    made = catalog.create_catalog(place.open_client("glue"), place.settings.bucket)
    done = migrations.migrate(place.warehouse, migrations.list_migrations())
    return scripts.upload_scripts(place.store), made, [migration.file_name for migration in done]


def look(place: Place) -> dict[str, Any]:
    """Everything that a setup makes: objects with their time, catalog definitions with theirs, tables, version rows."""
    glue, s3, schema = place.open_client("glue"), place.open_client("s3"), place.warehouse.schema
    listed = s3.list_objects_v2(Bucket=place.settings.bucket).get("Contents", [])
    definitions = {
        (database, table["Name"]): table
        for database in (DATABASE, STAGING_DATABASE)
        for table in glue.get_tables(DatabaseName=database)["TableList"]
    }
    columns = place.warehouse.ask(
        f"SELECT * FROM information_schema.columns WHERE table_schema = '{schema}' ORDER BY table_name, column_name"
    )
    return {
        "objects": {item["Key"]: (item["ETag"], item["LastModified"]) for item in listed},
        "catalog": definitions,
        "warehouse": columns,
        "versions": place.warehouse.ask(f"SELECT * FROM {schema}.schema_version ORDER BY version"),
    }


class TestFunctions:
    def test_a_second_time_changes_nothing(self, place: Place) -> None:
        count, made, done = set_up(place)
        assert (count, len(made), done) == (
            len(scripts.list_script_files()),
            2 + len(list_tables()) + len(list_published_tables()),
            FILES,
        )
        before = look(place)
        time.sleep(1.1)  # S3's times are whole seconds
        assert set_up(place) == (0, [], [])
        assert look(place) == before
        assert list_gaps(place) == []

    def test_gaps_are_named_one_by_one(self, place: Place) -> None:
        digest = scripts.digest_scripts()
        assert list_gaps(place) == [
            f"{SCRIPTS} of this checkout's Glue scripts ({digest}) are not uploaded",
            "the catalog database market_data is missing",
            "the catalog database market_data_staging is missing",
            f"the warehouse's schema version is none, this checkout needs {migrations.list_migrations()[-1].version}",
            "the lake holds no version of the facts",
        ]
        set_up(place)
        place.store.delete([f"glue/scripts/{digest}/market_tables.py"])
        place.open_client("glue").delete_table(DatabaseName=DATABASE, Name="daily_trading")
        place.warehouse.run(["ALTER TABLE market_data.daily_trading RENAME TO prices"])
        assert list_gaps(place) == [
            f"1 of this checkout's Glue scripts ({digest}) are not uploaded",
            "the catalog table market_data.daily_trading is missing",
            "in the warehouse the table daily_trading is missing",
        ]

    def test_a_warehouse_of_a_newer_schema_is_a_gap_that_no_setup_mends(self, place: Place) -> None:
        set_up(place)
        place.warehouse.run([NEWER_VERSION])
        with pytest.raises(
            SchemaNewerError, match=rf"at version {OURS + 1}, this checkout knows versions up to {OURS}"
        ):
            list_gaps(place)

    def test_catalog_tables_of_an_older_version_get_their_columns_and_keep_their_rows(self, place: Place) -> None:
        glue = place.open_client("glue")
        table = next(table for table in list_tables() if table.name == "company_details")
        set_up(place)
        fresh = look(place)["catalog"]
        old = glue.get_table(DatabaseName=DATABASE, Name=table.name)["Table"]
        storage = old["StorageDescriptor"]
        older = {**storage, "Columns": storage["Columns"][:-2]}
        shape = {"Name": table.name, "PartitionKeys": old["PartitionKeys"], "TableType": "EXTERNAL_TABLE"}
        mark = {**old["Parameters"], "owner": "somebody"}
        glue.update_table(DatabaseName=DATABASE, TableInput={**shape, "StorageDescriptor": older, "Parameters": mark})
        buffer = io.BytesIO()
        pq.write_table(pa.table({"ticker": ["AAPL"], "market_cap": [1.5]}), buffer)
        folder = f"processed/company_details/trading_date={DAY}/"
        place.store.put(f"{folder}data.parquet", buffer.getvalue())
        register_partitions(glue, DATABASE, table, [Partition((DAY,), place.store.uri(folder))])

        assert list_gaps(place) == [
            "the catalog table market_data.company_details lacks the column cik",
            "the catalog table market_data.company_details lacks the column share_count_origin",
        ]
        assert set_up(place)[1] == [
            "market_data.company_details.cik",
            "market_data.company_details.share_count_origin",
        ]
        mended = look(place)["catalog"][DATABASE, table.name]
        assert mended["StorageDescriptor"] == fresh[DATABASE, table.name]["StorageDescriptor"]
        assert mended["Parameters"] == mark
        assert ask_athena(place, "SELECT ticker, market_cap, cik FROM company_details") == [["AAPL", "1.5", None]]

    def test_a_catalog_table_of_another_make_is_named_and_left_alone(self, place: Place) -> None:
        glue = place.open_client("glue")
        glue.create_database(DatabaseInput={"Name": DATABASE})
        storage = {"Columns": [{"Name": "volume", "Type": "string"}], "Location": "s3://elsewhere/"}
        glue.create_table(DatabaseName=DATABASE, TableInput={"Name": "daily_trading", "StorageDescriptor": storage})
        with pytest.raises(CatalogDiffersError, match=r"daily_trading.volume is string in the catalog, not bigint"):
            catalog.create_catalog(glue, place.settings.bucket)
        kept = glue.get_table(DatabaseName=DATABASE, Name="daily_trading")["Table"]["StorageDescriptor"]
        assert kept["Columns"] == storage["Columns"]

    def test_missing_infrastructure_is_named_at_once(self, bare: Place) -> None:
        settings = replace(bare.settings, athena_workgroup="none", copy_role="arn:aws:iam::123456789012:role/none")
        nowhere = replace(bare, settings=settings)
        found = list_missing_infrastructure(nowhere)
        assert [text.partition(" (")[0] for text in found] == [
            f"the bucket {settings.bucket}",
            "the Glue job processing-pipeline",
            "the Glue job analytics-pipeline",
            "the Athena workgroup none",
            "the role arn:aws:iam::123456789012:role/none that Redshift assumes",
        ]
        assert list_gaps(nowhere) == [f"the bucket {settings.bucket} is missing"]
        region = bare.open_client("glue").meta.region_name
        provision_infrastructure(bare.settings, region)
        assert list_missing_infrastructure(bare) == []


def ask_athena(place: Place, query: str) -> list[list[str | None]]:
    athena = place.open_client("athena")
    started = athena.start_query_execution(
        QueryString=query, WorkGroup=place.settings.athena_workgroup, QueryExecutionContext={"Database": DATABASE}
    )["QueryExecutionId"]
    deadline = time.monotonic() + 60
    while (status := athena.get_query_execution(QueryExecutionId=started)["QueryExecution"]["Status"])["State"] not in {
        "SUCCEEDED",
        "FAILED",
    }:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert status["State"] == "SUCCEEDED", status
    rows = athena.get_query_results(QueryExecutionId=started)["ResultSet"]["Rows"]
    return [[cell.get("VarCharValue") for cell in row["Data"]] for row in rows[1:]]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A fresh sandbox with Airflow prepared and the infrastructure there."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(("POLYGON_", "MAG7_"))}
    with run_stack(tmp_path_factory.mktemp("home"), inherited) as running:
        prepare_airflow(running)
        provision_infrastructure(read_settings(running.environment()), REGION)
        yield running


@pytest.fixture(scope="module")
def airflow(stack: Stack) -> Iterator[AirflowProcess]:
    process = AirflowProcess(stack.environment(), stack.folder / "airflow-process.log")
    yield process
    process.stop()


def test_the_dag_sets_a_sandbox_up_once_and_the_daily_run_asks_for_it(stack: Stack, airflow: AirflowProcess) -> None:
    log, environment = stack.folder / "log", stack.environment()
    place = open_sandbox(read_settings(environment), REGION)

    def test_dag(dag_id: str, day: str) -> tuple[int, str]:
        return airflow.run(["dags", "test", dag_id, day], environment, log), log.read_text()

    code, said = test_dag("mag7_daily", DAY)
    assert code != 0
    asked = re.findall(r"resolve_session failed: (.*)", said)
    assert asked
    assert "holds no version of the facts: run mag7_setup, then run this again" in asked[0]
    assert set(READY.findall(said)) <= {"resolve_session", "write_run_manifest", "send_alert"}

    code, said = test_dag("mag7_setup", DAY)
    assert (code, set(READY.findall(said))) == (0, TASKS)
    assert list_gaps(place) == []
    before = look(place)

    code, said = test_dag("mag7_setup", DAY)
    assert (code, set(READY.findall(said))) == (0, TASKS)
    assert "0 objects uploaded" in said
    assert said.count("nothing was missing") == 2
    assert look(place) == before

    assert set_up_sandbox(environment, stack.folder / "setup.log") is False
    assert not (stack.folder / "setup.log").exists()

    place.warehouse.run([NEWER_VERSION])
    code, said = test_dag("mag7_setup", DAY)
    assert code != 0
    assert re.search(
        rf"migrate_schema failed: the warehouse's schema is at version {OURS + 1}, this checkout knows .* up to {OURS}",
        said,
    )
    assert said.count("starting task_id=migrate_schema") == 1  # another try would be the same
    with pytest.raises(ProvisioningError, match=f"at version {OURS + 1}"):
        set_up_sandbox(environment, stack.folder / "setup.log")


def test_what_a_failing_setup_says_reaches_who_started_it(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "log.py: create_catalog failed: daily_trading is in the way\nlog.py: it ended"
    command = ["/bin/sh", "-c", f"printf '{said}'; exit 1"]
    monkeypatch.setattr("sandbox.setup.airflow_command", lambda *_: command)
    environment = {"AWS_ENDPOINT_URL": sandbox.url, "MAG7_BUCKET": "failing", "AWS_DEFAULT_REGION": "ca-central-1"}
    with pytest.raises(ProvisioningError, match=r"mag7_setup did not set the sandbox up: daily_trading is in the way"):
        set_up_sandbox(environment, tmp_path / "log")
    monkeypatch.setattr("sandbox.setup.airflow_command", lambda *_: ["/bin/sleep", "30"])
    monkeypatch.setattr("sandbox.setup.SETUP_SECONDS", 0.1)
    with pytest.raises(ProvisioningError, match=rf"not end within 0 s; {SCRIPTS} of this checkout's Glue scripts"):
        set_up_sandbox(environment, tmp_path / "log")

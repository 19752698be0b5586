"""Glue runs: two on real Spark, the rest with scripts that need none."""

import io
import textwrap
import time
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError

from sandbox.aws.backends import Gate, S3Store
from sandbox.aws.glue import GlueEngine
from tests.sandbox.aws.running import BUCKET, Sandbox, is_alive, parquet, start_sandbox, wait_for

ACTIVE = {"STARTING", "RUNNING", "STOPPING"}


@dataclass
class Jobs:
    """Glue jobs of the sandbox."""

    glue: Any
    logs: Any
    s3: Any

    def create(self, script: str, **more: Any) -> str:
        name = f"job-{uuid.uuid4().hex[:8]}"
        command = {"Name": "glueetl", "ScriptLocation": self.put(f"{name}.py", script)}
        self.glue.create_job(Name=name, Role="glue", Command=command, GlueVersion="5.0", **more)
        return name

    def put(self, key: str, body: str | bytes) -> str:
        body = textwrap.dedent(body).encode() if isinstance(body, str) else body
        self.s3.put_object(Bucket=BUCKET, Key=f"scripts/{key}", Body=body)
        return f"s3://{BUCKET}/scripts/{key}"

    def start(self, job: str, **arguments: str) -> str:
        named = {f"--{name.replace('_', '-')}": value for name, value in arguments.items()}
        return self.glue.start_job_run(JobName=job, Arguments=named)["JobRunId"]

    def wait(self, job: str, run: str) -> dict[str, Any]:
        wait_for(lambda: self.glue.get_job_run(JobName=job, RunId=run)["JobRun"]["JobRunState"], ACTIVE, 120)
        return self.glue.get_job_run(JobName=job, RunId=run)["JobRun"]

    def run(self, script: str, **arguments: str) -> dict[str, Any]:
        job = self.create(script)
        return self.wait(job, self.start(job, **arguments))

    def log(self, run: str, group: str = "output") -> list[str]:
        events = self.logs.get_log_events(logGroupName=f"/aws-glue/jobs/{group}", logStreamName=run, startFromHead=True)
        return [event["message"] for event in events["events"]]


@pytest.fixture(scope="module")
def jobs(sandbox: Sandbox, s3: Any) -> Jobs:
    return Jobs(sandbox.client("glue"), sandbox.client("logs"), s3)


SPARK_SCRIPT = """
    import sys
    from pathlib import Path

    from awsglue.context import GlueContext
    from awsglue.job import Job
    from awsglue.utils import getResolvedOptions
    from pyspark.context import SparkContext

    args = getResolvedOptions(sys.argv, ["JOB_NAME", "bucket", "folder"])
    glue = GlueContext(SparkContext.getOrCreate())
    spark, job = glue.spark_session, Job(glue)
    job.init(args["JOB_NAME"], args)
    root = f"s3://{args['bucket']}/{args['folder']}"
    days = spark.read.schema("trading_date STRING, cap DOUBLE").option("mode", "FAILFAST").json(f"{root}/raw/*")
    days.createOrReplaceTempView("days")
    out = spark.sql(Path("caps.sql").read_text())
    out.coalesce(1).write.mode("overwrite").option("partitionOverwriteMode", "dynamic").partitionBy(
        "trading_date"
    ).parquet(f"{root}/caps/")
    out.limit(0).coalesce(1).write.mode("overwrite").parquet(f"{root}/empty/")
    print("partitions", spark.conf.get("spark.sql.shuffle.partitions"), spark.conf.get("spark.sql.session.timeZone"))
    print("read back", spark.read.parquet(f"{root}/caps/").count())
    job.commit()
"""


@pytest.mark.spark
class TestSpark:
    def test_reads_and_writes_the_lake(self, jobs: Jobs) -> None:
        folder = f"f{uuid.uuid4().hex[:8]}"
        for day, cap in (("2024-12-12", 1.5), ("2024-12-13", 2.5)):
            body = f'{{"trading_date": "{day}", "cap": {cap}}}'
            jobs.s3.put_object(Bucket=BUCKET, Key=f"{folder}/raw/{day}.json", Body=body)
        kept = f"{folder}/caps/trading_date=2024-12-11/kept.parquet"
        jobs.s3.put_object(Bucket=BUCKET, Key=kept, Body=parquet(pa.table({"cap": [1.0]})))
        sql = jobs.put("caps.sql", "SELECT cap * 2 AS cap, trading_date FROM days")
        conf = "spark.sql.shuffle.partitions=3 --conf spark.sql.ansi.enabled=true"
        done = jobs.run(SPARK_SCRIPT, bucket=BUCKET, folder=folder, extra_files=sql, conf=conf)
        assert done["JobRunState"] == "SUCCEEDED", done.get("ErrorMessage")
        assert jobs.log(done["Id"]) == ["partitions 3 UTC", "read back 3"]
        listed = jobs.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{folder}/")["Contents"]
        keys = [found["Key"].removeprefix(f"{folder}/") for found in listed]
        written = sorted(key.rpartition("/")[0] for key in keys if key.endswith("snappy.parquet"))
        assert written == ["caps/trading_date=2024-12-12", "caps/trading_date=2024-12-13", "empty"]
        assert len(keys) == len(written) + 3  # and nothing else: no markers, no _SUCCESS, no _temporary
        last = next(key for key in keys if key.startswith("caps/trading_date=2024-12-13/"))
        body = jobs.s3.get_object(Bucket=BUCKET, Key=f"{folder}/{last}")["Body"].read()
        assert pq.read_table(io.BytesIO(body)).to_pydict() == {"cap": [5.0]}

    def test_tells_what_went_wrong_in_spark(self, jobs: Jobs) -> None:
        script = """
            from pyspark.sql import SparkSession

            spark = SparkSession.builder.getOrCreate()
            spark.read.parquet("s3://lake/nowhere/").show()
        """
        done = jobs.run(script)
        assert done["JobRunState"] == "FAILED"
        assert done["ErrorMessage"].startswith(
            "AnalysisException: [PATH_NOT_FOUND] Path does not exist: s3://lake/nowhere"
        )
        assert any("Traceback" in line for line in jobs.log(done["Id"], "error"))


class TestRuns:
    def test_a_script_sees_its_arguments_files_and_modules(self, jobs: Jobs) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("packed.py", "NAME = 'packed'")
        modules = f"{jobs.put('plain.py', 'NAME = 1')}, {jobs.put('packed.zip', buffer.getvalue())}"
        other = jobs.put(
            "other.py",
            """
            import sys
            from pathlib import Path

            import packed, plain
            from awsglue.utils import getResolvedOptions

            args = getResolvedOptions(sys.argv, ["JOB_NAME", "JOB_RUN_ID", "sessions"])
            print(args["JOB_NAME"], args["sessions"], packed.NAME, plain.NAME, Path("a.sql").read_text())
            print([word for word in sys.argv if word.startswith(("--extra", "--conf", "--scriptLocation"))])
            """,
        )
        job = jobs.create("raise SystemExit('not this one')", DefaultArguments={"--scriptLocation": other})
        run = jobs.start(
            job,
            sessions="2024-12-12,2024-12-13",
            extra_files=jobs.put("a.sql", "SELECT 1"),
            **{"extra_py_files": modules},
        )
        done = jobs.wait(job, run)
        assert done["JobRunState"] == "SUCCEEDED", jobs.log(run, "error")
        assert jobs.log(run) == [f"{job} 2024-12-12,2024-12-13 packed 1 SELECT 1", "[]"]
        assert "ErrorMessage" not in done

    @pytest.mark.parametrize(
        ("script", "message"),
        [
            ("raise ValueError('no document for 2024-12-13')", "ValueError: no document for 2024-12-13"),
            ("import sys; sys.exit('refused')", "SystemExit: refused"),
            ("import os; os._exit(9)", "Command failed with exit code 9"),
            (
                "import sys; from awsglue.utils import getResolvedOptions; getResolvedOptions(sys.argv, ['bucket'])",
                "GlueArgumentError: the following arguments are required: --bucket",
            ),
        ],
    )
    def test_a_failed_run_says_why(self, jobs: Jobs, script: str, message: str) -> None:
        done = jobs.run(f"print('before')\n{script}")
        assert (done["JobRunState"], done["ErrorMessage"]) == ("FAILED", message)

    def test_log_of_a_failed_run_ends_with_its_traceback(self, jobs: Jobs) -> None:
        done = jobs.run("print('before', flush=True)\nraise ValueError('no document')")
        assert jobs.log(done["Id"]) == ["before"]
        assert jobs.log(done["Id"], "error")[-1] == "ValueError: no document"
        assert done["LogGroupName"] == "/aws-glue/jobs"

    def test_a_missing_script_or_file_is_named(self, jobs: Jobs) -> None:
        done = jobs.run("print(1)", extra_files="s3://lake/none.sql")
        assert done["JobRunState"] == "FAILED"
        assert done["ErrorMessage"].endswith("s3://lake/none.sql does not exist")

    def test_times_are_those_of_the_run(self, jobs: Jobs) -> None:
        done = jobs.run("import time; time.sleep(1.2)")
        took = (done["CompletedOn"] - done["StartedOn"]).total_seconds()
        assert took >= 1.2
        assert abs(done["ExecutionTime"] - took) <= 1

    def test_more_runs_than_allowed_are_refused(self, jobs: Jobs) -> None:
        job = jobs.create("import time; time.sleep(60)", ExecutionProperty={"MaxConcurrentRuns": 2})
        runs = [jobs.start(job), jobs.start(job)]
        with pytest.raises(ClientError) as caught:
            jobs.start(job)
        assert caught.value.response["Error"]["Code"] == "ConcurrentRunsExceededException"
        listed = jobs.glue.get_job_runs(JobName=job)["JobRuns"]
        assert [run["Id"] for run in listed] == runs[::-1]
        jobs.glue.batch_stop_job_run(JobName=job, JobRunIds=runs)
        assert [jobs.wait(job, run)["JobRunState"] for run in runs] == ["STOPPED", "STOPPED"]
        third = jobs.start(job)
        jobs.glue.batch_stop_job_run(JobName=job, JobRunIds=[third])

    def test_stopping_a_run_kills_all_its_processes(self, jobs: Jobs) -> None:
        script = """
            import os, subprocess, time
            child = subprocess.Popen(["sleep", "60"])
            print(os.getpid(), child.pid, flush=True)
            from pathlib import Path
            Path(os.environ["HOME"], "up").touch()
            time.sleep(60)
        """
        job = jobs.create(script)
        run = jobs.start(job)
        time.sleep(1)
        answer = jobs.glue.batch_stop_job_run(JobName=job, JobRunIds=[run, "jr_none"])
        assert [stopped["JobRunId"] for stopped in answer["SuccessfulSubmissions"]] == [run]
        assert [error["JobRunId"] for error in answer["Errors"]] == ["jr_none"]
        assert jobs.wait(job, run)["JobRunState"] == "STOPPED"
        pids = [int(word) for word in jobs.log(run)[0].split()]
        wait_for(lambda: str(any(map(is_alive, pids))), {"True"}, 10)

    def test_unknown_jobs_and_runs(self, jobs: Jobs) -> None:
        job = jobs.create("print(1)")
        for call in (lambda: jobs.start("nobody"), lambda: jobs.glue.get_job_run(JobName=job, RunId="jr_none")):
            with pytest.raises(jobs.glue.exceptions.EntityNotFoundException):
                call()

    def test_a_job_can_be_updated(self, jobs: Jobs) -> None:
        job = jobs.create("raise SystemExit('old')", DefaultArguments={"--a": "1"})
        command = {"Name": "glueetl", "ScriptLocation": jobs.put("new.py", "import sys; print(sys.argv[-2:])")}
        jobs.glue.update_job(
            JobName=job, JobUpdate={"Role": "glue", "Command": command, "DefaultArguments": {"--a": "2"}}
        )
        done = jobs.wait(job, jobs.start(job))
        assert jobs.log(done["Id"]) == ["['--a', '2']"]


def test_a_run_that_takes_too_long_times_out(tmp_path: Any) -> None:
    """The engine alone, with a minute of a tenth of a second, beside the moto of this process."""
    from moto.glue.models import glue_backends
    from moto.s3.models import s3_backends

    s3_backends["123456789012"]["aws"].create_bucket("timeout-lake", "us-east-1")
    s3_backends["123456789012"]["aws"].put_object("timeout-lake", "s.py", b"import time; time.sleep(60)")
    names = "name role command description log_uri execution_property default_arguments non_overridable_arguments"
    more = "connections max_retries allocated_capacity timeout max_capacity security_configuration tags"
    rest = "notification_property glue_version number_of_workers worker_type code_gen_configuration_nodes"
    blank = dict.fromkeys(f"{names} {more} {rest} execution_class source_control_details".split())
    command = {"Name": "glueetl", "ScriptLocation": "s3://timeout-lake/s.py"}
    glue_backends["123456789012"]["us-east-1"].create_job(**blank | {"name": "slow", "command": command, "timeout": 5})
    engine = GlueEngine(S3Store(Gate()), "http://127.0.0.1:1", tmp_path, minute_seconds=0.1)
    run = engine.start_job_run("us-east-1", {"JobName": "slow"})["JobRunId"]

    def describe() -> dict[str, Any]:
        return engine.get_job_run("us-east-1", {"JobName": "slow", "RunId": run})["JobRun"]

    assert wait_for(lambda: describe()["JobRunState"], ACTIVE) == "TIMEOUT"
    assert "exceeded its timeout of 5 minutes" in describe()["ErrorMessage"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jobs]:
    running = start_sandbox(tmp_path_factory.mktemp("aws-kept"), "--keep-glue")
    s3 = running.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    yield Jobs(running.client("glue"), running.client("logs"), s3)
    assert running.stop() == 0


class TestKeptWorkers:
    """With --keep-glue a run takes over the process, and so the Spark, of one that ended well."""

    SCRIPT = """
        import os, sys
        from pathlib import Path
        import beside

        print(os.getpid(), beside.WORD, Path("word").read_text(), os.getcwd() == os.path.dirname(sys.argv[0]))
        if "--fail" in sys.argv:
            raise ValueError("on purpose")
    """

    def run(self, jobs: Jobs, word: str, **more: str) -> tuple[str, dict[str, Any], str]:
        jobs.put("beside.py", f"WORD = {word!r}")
        files = {"extra_files": jobs.put("word", word), "extra_py_files": f"s3://{BUCKET}/scripts/beside.py"}
        done = jobs.run(self.SCRIPT, **files, **more)
        pid, *said = jobs.log(done["Id"])[0].split()
        assert said == [word, word, "True"]
        return pid, done, "\n".join(jobs.log(done["Id"], "error"))

    def test_see_only_the_files_and_modules_of_their_run(self, kept: Jobs) -> None:
        first, second = self.run(kept, "one"), self.run(kept, "two")

        assert first[0] == second[0]
        assert (first[1]["JobRunState"], second[1]["JobRunState"]) == ("SUCCEEDED", "SUCCEEDED")

    def test_end_with_a_run_that_failed(self, kept: Jobs) -> None:
        pid, failed, log = self.run(kept, "three", fail="now")

        assert (failed["JobRunState"], failed["ErrorMessage"]) == ("FAILED", "ValueError: on purpose")
        assert log.rstrip().endswith("ValueError: on purpose")
        assert not is_alive(int(pid))
        assert self.run(kept, "four")[0] != pid

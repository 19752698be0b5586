"""The whole stack as one object: runs sessions through ``make demo``'s own code and shows what readers see."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq

from mag7.lake.catalog import DATABASE
from mag7.lake.tables import list_published_tables, list_tables
from sandbox import demo
from sandbox.airflow_home import TaskRun, find_run, list_task_runs
from sandbox.stack import REGION, ROOT, SIMULATED, Stack

KEY = "e2e-key-5b0c1d7f92"
"""The API key of every run in the house; it may be seen nowhere."""

BUCKET = "magnificent7-market-data"
READ_PREFIXES = ("raw/magnificent7/", "processed/", "analytics/")
TABLES = tuple(table.name for table in list_tables())
LONGEST_RUN_SECONDS = 300
Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Published:
    """Everything that anyone reads: warehouse rows, objects by digest, partitions with their locations.

    A Parquet file's digest is that of its schema and its rows in their order: parquet-mr writes the list of a
    column's encodings in the order of a hash set, another one in each JVM, which no reader sees.
    """

    rows: dict[str, Rows]
    objects: dict[str, str]
    partitions: dict[str, dict[str, str]]

    def of(self, day: str) -> Published:
        """What is published of one session."""
        return Published(
            {table: [row for row in rows if row[0] == day] for table, rows in self.rows.items()},
            {key: digest for key, digest in self.objects.items() if day in key},
            {table: {d: place for d, place in found.items() if d == day} for table, found in self.partitions.items()},
        )


@dataclass(frozen=True)
class Run:
    """What became of one ``make demo``: exit code, what it printed, its summary, its tasks, and Airflow's log."""

    code: int
    printed: str
    summary: dict[str, Any]
    tasks: list[TaskRun]
    log: str

    def states(self) -> dict[str, set[str | None]]:
        """The states of each task's instances."""
        found: dict[str, set[str | None]] = {}
        for task in self.tasks:
            found.setdefault(task.task_id, set()).add(task.state)
        return found

    def last_word(self, task_id: str) -> str:
        """The last thing that a task said in its log, Airflow's own notes left out."""
        notes = ("::endgroup::", "Task instance state updated", "Pushing xcom")
        return [line for line in self.task_log(task_id) if not any(note in line for note in notes)][-1]

    def task_log(self, task_id: str) -> list[str]:
        """The lines that a task's last attempt wrote, from its start to its end."""
        parts = re.findall(
            rf"^.*\[DAG TEST\] starting task_id={re.escape(task_id)} .*\n((?:.*\n)*?).*\[DAG TEST\] end task ",
            self.log,
            re.MULTILINE,
        )
        assert parts, f"{task_id} did not run"
        return str(parts[-1]).splitlines()


class AirflowProcess:
    """Airflow's command line, started once; see airflow_process."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.airflow_process"],
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def run(self, arguments: list[str], environment: Mapping[str, str], log: Path) -> int:
        """Run one command and wait for its end."""
        assert self._process.stdin and self._process.stdout
        job = {"arguments": arguments, "environment": dict(environment), "log": str(log)}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"Airflow's process ended with {self._process.wait(30)}; see {log}"
        return int(json.loads(answer)["code"])

    def stop(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)


def digest(key: str, body: bytes, leave_out: Collection[str] = ()) -> str:
    """The SHA-256 of what a reader of an object sees, but for some columns of a table."""
    if key.endswith(".parquet"):
        table = pq.read_table(io.BytesIO(body))
        table = table.select([name for name in table.column_names if name not in leave_out])
        body = repr((table.schema.to_string(), table.to_pylist())).encode()
    return hashlib.sha256(body).hexdigest()


@dataclass
class House:
    """A running stack in a folder, and Airflow beside it."""

    home: Path
    stack: Stack
    airflow: AirflowProcess
    clients: dict[str, Any] = field(default_factory=dict)

    def demo(
        self,
        *arguments: str,
        change: Mapping[str, str] | None = None,
        leave_out: tuple[str, ...] = (),
        first: Callable[[], object] = lambda: None,
    ) -> Run:
        """Run ``python -m sandbox.demo`` on the running stack, as if it had just been started.

        Tasks see the stack's environment with changes; ``first`` is called when all is prepared for the DAG.
        """
        log = self.home / f"run-{time.monotonic_ns()}.log"
        began = datetime.now(UTC)
        inherited = self.stack.environment() | {"POLYGON_API_KEY": KEY} | dict(change or {})
        environment = {name: value for name, value in inherited.items() if name not in leave_out}
        self._post("/sandbox/calls/reset", None)

        def run_dag(_: Stack, dag_id: str, day: str, conf: Mapping[str, object], **options: Any) -> int:
            first()
            code = self.airflow.run(["dags", "test", dag_id, day, "-c", json.dumps(conf)], environment, log)
            options["log"].write_bytes(log.read_bytes())
            return code

        printed = io.StringIO()
        with (
            _replaced(demo, "run_stack", lambda *_: contextlib.nullcontext(self.stack)),
            _replaced(demo, "run_dag", run_dag),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
        ):
            code = demo.main([*arguments, "--home", str(self.home)])
        summary = self.home / demo.SUMMARY_FILE
        return Run(
            code,
            printed.getvalue(),
            json.loads(summary.read_text()) if summary.exists() else {},
            self.list_tasks(began),
            log.read_text() if log.exists() else "",
        )

    def list_tasks(self, since: datetime) -> list[TaskRun]:
        """The task instances of the newest run, from Airflow's database."""
        run_id = find_run(self.stack, demo.DAG, since)
        return list_task_runs(self.stack, demo.DAG, run_id) if run_id else []

    def client(self, service: str) -> Any:
        """A boto3 client of the sandbox's AWS."""
        if service not in self.clients:
            self.clients[service] = boto3.client(
                service,
                endpoint_url=self.stack.aws_url,
                region_name=REGION,
                aws_access_key_id="sandbox",
                aws_secret_access_key="sandbox",
            )
        return self.clients[service]

    @contextlib.contextmanager
    def faults(self, *rules: Mapping[str, Any]) -> Iterator[None]:
        """Let the offline market fail by these rules inside the block."""
        self._post("/sandbox/faults", list(rules))
        try:
            yield
        finally:
            self._post("/sandbox/faults", [])

    def count_calls(self) -> dict[str, Any]:
        """The offline market's own count of the calls that it served."""
        with urllib.request.urlopen(f"{self.stack.polygon_url}/sandbox/calls", timeout=20) as answer:  # noqa: S310
            return dict(json.load(answer))

    def _post(self, path: str, body: object) -> None:
        request = urllib.request.Request(  # noqa: S310
            self.stack.polygon_url + path, json.dumps(body).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            assert answer.status == 200

    def query(self, sql: str) -> Rows:
        """Ask the warehouse through the Redshift Data API."""
        data = self.client("redshift-data")
        started = data.execute_statement(WorkgroupName="market-analysis", Database="dev", Sql=sql)["Id"]
        _wait(lambda: data.describe_statement(Id=started), "FINISHED", ("Status",))
        pages = data.get_paginator("get_statement_result").paginate(Id=started)
        return [tuple(_plain(cell) for cell in record) for page in pages for record in page["Records"]]

    def ask_athena(self, sql: str) -> list[dict[str, str | None]]:
        """Ask the lake through Athena; values are texts."""
        athena = self.client("athena")
        started = athena.start_query_execution(
            QueryString=sql, WorkGroup="mag7", QueryExecutionContext={"Database": DATABASE}
        )["QueryExecutionId"]
        _wait(
            lambda: athena.get_query_execution(QueryExecutionId=started),
            "SUCCEEDED",
            ("QueryExecution", "Status", "State"),
        )
        pages = athena.get_paginator("get_query_results").paginate(QueryExecutionId=started)
        rows = [
            [cell.get("VarCharValue") for cell in row["Data"]] for page in pages for row in page["ResultSet"]["Rows"]
        ]
        return [dict(zip([str(name) for name in rows[0]], row, strict=True)) for row in rows[1:]]

    def list_keys(self, prefix: str = "") -> list[str]:
        """The keys of the lake below a prefix."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def get(self, key: str) -> bytes:
        """An object's bytes."""
        return bytes(self.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read())

    def list_leaks(self, *secrets: str, prefixes: Iterable[str] = ("",)) -> list[str]:
        """Where secrets can be read: files below the home (Airflow's database and logs among them), objects."""
        files = {str(path): path.read_bytes for path in self.home.rglob("*") if path.is_file()}
        keys = [key for prefix in prefixes for key in self.list_keys(prefix)]
        objects = {key: partial(self.get_plain, key) for key in keys}
        wanted = [secret.encode() for secret in secrets]
        return [name for name, read in {**files, **objects}.items() if _holds_any(read(), wanted)]

    def get_plain(self, key: str) -> bytes:
        """An object's bytes, decompressed where it is compressed."""
        body = self.get(key)
        return gzip.decompress(body) if key.endswith(".gz") else body

    def document(self, day: str) -> dict[str, Any]:
        """A session's published document."""
        return dict(json.loads(self.get(f"raw/magnificent7/trading_date={day}/market_data.json")))

    def dump_table(self, table: str) -> Rows:
        """Every row of a warehouse table, in a fixed order."""
        return sorted(self.query(f"SELECT * FROM market_data.{table}"), key=repr)  # noqa: S608

    def published(self, look: Callable[[str, bytes], str] = digest) -> Published:
        """Everything that anyone reads, as it is now; ``look`` reduces an object to what is compared of it."""
        keys = [key for prefix in READ_PREFIXES for key in self.list_keys(prefix)]
        return Published(
            {table.name: self.dump_table(table.name) for table in list_published_tables()},
            {key: look(key, self.get(key)) for key in keys},
            {table: self._list_partitions(table) for table in TABLES},
        )

    def _list_partitions(self, table: str) -> dict[str, str]:
        pages = self.client("glue").get_paginator("get_partitions").paginate(DatabaseName=DATABASE, TableName=table)
        return {
            partition["Values"][0]: partition["StorageDescriptor"]["Location"]
            for page in pages
            for partition in page["Partitions"]
        }


@contextlib.contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def _plain(cell: dict[str, Any]) -> Any:
    (kind, value), *_ = cell.items()
    return None if kind == "isNull" else value


def _wait(ask: Any, wanted: str, path: tuple[str, ...]) -> None:
    deadline = time.monotonic() + 60
    while True:
        answer = state = ask()
        for step in path:
            state = state[step]
        if state == wanted:
            return
        assert state not in {"FAILED", "ABORTED", "CANCELLED"}, answer
        assert time.monotonic() < deadline, f"still {state}"
        time.sleep(0.02)


@dataclass(frozen=True)
class Command:
    """What became of one ``make demo`` in a folder of its own, and the servers that it started."""

    home: Path
    code: int
    printed: str
    summary: dict[str, Any]
    run_id: str | None
    tasks: list[TaskRun]
    servers: dict[str, int]


def run_command(home: Path, source: str, *arguments: str, environment: Mapping[str, str]) -> Command:
    """Run ``make demo``'s command and read what it left."""
    began = datetime.now(UTC)
    ended = run_demo(home, *arguments, environment=environment)
    stack = Stack(home / source, source, "", "", simulated=source == SIMULATED)
    run_id = find_run(stack, demo.DAG, began)
    summary = home / demo.SUMMARY_FILE
    return Command(
        home,
        ended.returncode,
        ended.stdout + ended.stderr,
        json.loads(summary.read_text()) if summary.exists() else {},
        run_id,
        list_task_runs(stack, demo.DAG, run_id) if run_id else [],
        {path.name: json.loads(path.read_text())["pid"] for path in (stack.folder / "servers").glob("*.json")},
    )


def run_demo(home: Path, *arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run ``python -m sandbox.demo`` as a command of its own, as ``make demo`` does."""
    return subprocess.run(
        [sys.executable, "-m", "sandbox.demo", "--home", str(home), *arguments],
        cwd=ROOT,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=LONGEST_RUN_SECONDS,
        check=False,
    )


def _holds_any(body: bytes, wanted: Iterable[bytes]) -> bool:
    return any(text in body for text in wanted)

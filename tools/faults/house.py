"""The house under faults: the whole stack, whose stored responses and published data are removed and restored."""

from __future__ import annotations

import contextlib
import gzip
import json
import pickle
import random
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mag7.lake.keys import DATABASE
from mag7.polygon.source import SIMULATED
from sandbox.airflow_home import prepare_airflow
from sandbox.setup import set_up_sandbox
from sandbox.stack import AWS_SECRET, Stack, run_stack
from tools.faults.compared import reduce_object, reduce_rows
from tools.faults.flows import Flow
from tools.faults.forked import ForkedAirflow
from tools.faults.plan import AWS, MARKET, Fault
from tools.stack_reader import BUCKET, TABLES, Published, QueryFailedError, Rows, StackReader

RESPONSES = "raw/polygon/"
KEY = "faults-key-93b1e0c7a4"
SECRET = "faults-secret-5d0e7b21f8"  # noqa: S105 - invented  # pragma: allowlist secret
"""The API key and the AWS secret of every disturbed run; they must not occur anywhere."""

OVER = {"FINISHED", "FAILED", "ABORTED"}
"""The Data API's final states of a batch."""

LEFT_BY_A_RUN = ("staging/", "manifests/")
"""What a run writes for itself: the next sequence deletes most of it."""

ENVIRONMENT = {
    "MAG7_BATCHES": "3",
    # A stall lasts one of these; three in a row use up a call's tries.
    "POLYGON_READ_TIMEOUT": "1",
    "POLYGON_TRIES": "3",
    "AWS_MAX_ATTEMPTS": "2",
}


class UndisturbedRunError(Exception):
    """An undisturbed run failed, so there is nothing to compare with."""


class FaultyHouse:
    """A stack, forked Airflow, and what each flow publishes and stores in an undisturbed run."""

    def __init__(self, house: StackReader, airflow: ForkedAirflow) -> None:
        self._house, self.airflow = house, airflow
        self._responses: dict[str, dict[str, bytes]] = {}
        self.right: Published = Published({}, {}, {})

    def learn(self, flows: Sequence[Flow], kept: Path | None = None) -> None:
        """Run every flow undisturbed, without stored responses; the file ``kept`` saves a later process the runs."""
        if kept is not None and kept.exists():
            stored = pickle.loads(kept.read_bytes())  # noqa: S301  # nosec B301
            self._responses, self.right, self.airflow.seconds = stored
            return
        for flow in flows:
            self._delete(RESPONSES)
            ended = self.airflow.run(flow.dag, f"undisturbed-{flow.name}", flow.conf, warm=True)
            if ended.state != "success":
                raise UndisturbedRunError(
                    f"the undisturbed run of {flow.dag} ended {ended.state}: see {self.airflow.logs}"
                )
            self._responses[flow.name] = {key: self._house.get(key) for key in self._house.list_keys(RESPONSES)}
        self.right = self.published()
        if kept is not None:
            kept.write_bytes(pickle.dumps((self._responses, self.right, self.airflow.seconds)))

    def adopt(self, flow: Flow) -> None:
        """Use what a house already holds of a flow as its undisturbed run."""
        self._responses[flow.name] = {key: self._house.get(key) for key in self._house.list_keys(RESPONSES)}
        self.right = self.published()

    def restore(self, flow: Flow) -> None:
        """Restore all of a flow's stored responses."""
        self._restore_responses(flow, random.Random(0), 0.0, 0.0)

    @contextlib.contextmanager
    def planted(self, name: str) -> Iterator[None]:
        """Run tasks with a planted defect inside the block."""
        right, seconds = self.airflow, self.airflow.seconds
        self.airflow = ForkedAirflow(right.environment | {"FAULTS_PLANTED": name}, right.logs / name)
        self.airflow.seconds = seconds
        try:
            yield
        finally:
            self.airflow.stop()
            self.airflow = right

    def list_leaks(self, prefixes: Sequence[str] = ("",)) -> list[str]:
        """List where the key or the secret can be read: logs, Airflow's database (XComs, rendered fields), objects."""
        return self._house.list_leaks(KEY, SECRET, prefixes=prefixes)

    def client(self, service: str) -> Any:
        """Return a client of the stack's AWS."""
        return self._house.client(service)

    def query(self, sql: str) -> Rows:
        """Query the warehouse."""
        return self._house.query(sql)

    def published(self) -> Published:
        """Return what readers see, without the time and key of the stored responses behind it.

        For a backfill's sessions, also without whether the provider was asked for that session: which ones a search
        asks for depends on what is stored.
        """
        return reduce_rows(self._house.published(reduce_object))

    def prepare(self, flow: Flow, chance: random.Random, *, older: bool, forgotten: float) -> None:
        """Reset a flow's sessions to before its run, and delete a part of its stored responses.

        ``older`` leaves an older edition of the sessions for readers instead of nothing.
        """
        for prefix in ("staging/", "pending/"):
            self._delete(prefix)
        self._restore_responses(flow, chance, forgotten, 0.5 if forgotten else 0.0)
        for day in flow.sessions:
            if older:
                self._make_older(day)
            else:
                self._unpublish(day)

    def _restore_responses(self, flow: Flow, chance: random.Random, details: float, others: float) -> None:
        """Restore all responses but a part of the details, and of the others, of a flow's own sessions."""
        self._delete(RESPONSES)
        store = self._house.client("s3")
        for key, body in self._responses[flow.name].items():
            mine = any(f"trading_date={day}/" in key for day in flow.sessions)
            part = (details if "ticker_details" in key else others) if mine else 0.0
            lines = [line for line in gzip.decompress(body).splitlines(keepends=True) if chance.random() >= part]
            if lines:
                store.put_object(Bucket=BUCKET, Key=key, Body=gzip.compress(b"".join(lines), 1, mtime=0))

    def submit(self, statements: Sequence[str]) -> str:
        """Send a batch of statements to the warehouse; returns its id."""
        data = self.client("redshift-data")
        batch = data.batch_execute_statement(Sqls=statements, WorkgroupName="market-analysis", Database="dev")
        return str(batch["Id"])

    def wait(self, batch: str) -> tuple[str, str]:
        """Wait until a batch has ended; returns its status and its error."""
        deadline = time.monotonic() + 60
        while (described := self.client("redshift-data").describe_statement(Id=batch))["Status"] not in OVER:
            if time.monotonic() > deadline:
                raise QueryFailedError(f"batch {batch} is still {described['Status']}")
            time.sleep(0.02)
        return described["Status"], described.get("Error", "")

    def _change(self, *statements: str) -> None:
        status, error = self.wait(self.submit(statements))
        if status != "FINISHED":
            raise QueryFailedError(error)

    def _unpublish(self, day: str) -> None:
        self._change(*(f"DELETE FROM market_data.{table} WHERE trading_date = '{day}'" for table in TABLES))  # noqa: S608  # nosec B608
        for table in TABLES:
            with contextlib.suppress(self._house.client("glue").exceptions.EntityNotFoundException):
                self._house.client("glue").delete_partition(
                    DatabaseName=DATABASE, TableName=table, PartitionValues=[day]
                )
        for key in self._list_published(day):
            self._house.client("s3").delete_object(Bucket=BUCKET, Key=key)

    def _make_older(self, day: str) -> None:
        """Make another edition: a close and a share that differ, and files of another writer beside the right ones."""
        store = self._house.client("s3")
        self._change(
            f"UPDATE market_data.concentration_metrics SET mag7_pct_of_sp500 = 1 WHERE trading_date = '{day}'",  # noqa: S608  # nosec B608
            f"DELETE FROM market_data.company_details WHERE trading_date = '{day}'",  # noqa: S608  # nosec B608
        )
        for key in self._list_published(day):
            body = self._house.get(key)
            if key.endswith(".json"):
                document = json.loads(body)
                document["constituents"][0]["close"] = 1.5
                store.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(document).encode())
            elif key.startswith("processed/"):
                store.put_object(Bucket=BUCKET, Key=key.replace("data.parquet", "part-0.parquet"), Body=body)

    def _list_published(self, day: str) -> list[str]:
        prefixes = [f"raw/magnificent7/trading_date={day}/"]
        prefixes += [f"processed/{table}/trading_date={day}/" for table in TABLES]
        prefixes += [f"analytics/{table}/{day}" for table in TABLES]
        return [key for prefix in prefixes for key in self._house.list_keys(prefix)]

    def _delete(self, prefix: str) -> None:
        keys = self._house.list_keys(prefix)
        for start in range(0, len(keys), 1000):
            part = [{"Key": key} for key in keys[start : start + 1000]]
            self._house.client("s3").delete_objects(Bucket=BUCKET, Delete={"Objects": part, "Quiet": True})

    @contextlib.contextmanager
    def faults(self, rules: Sequence[Fault], struck: dict[str, int]) -> Iterator[list[Fault]]:
        """Apply fault rules to both servers inside the block; yields a list that afterwards has the rest of the rules.

        The servers' counts of faults are added to ``struck`` by name.
        """
        left: list[Fault] = []
        servers = {MARKET: self._house.stack.polygon_url, AWS: self._house.stack.aws_url}
        by_server = {server: [fault for fault in rules if fault.server == server] for server in servers}
        for server, url in servers.items():
            _ask(url, [fault.rule for fault in by_server[server]])
        try:
            yield left
        finally:
            for server, url in servers.items():
                shown = _ask(url)
                counts = shown["rules"] if isinstance(shown, dict) else shown
                _ask(url, [])
                for fault, count in zip(by_server[server], counts, strict=True):
                    struck[fault.name] = struck.get(fault.name, 0) + count["struck"]
                    left += _list_left(fault, count)


def _list_left(fault: Fault, count: Mapping[str, int]) -> list[Fault]:
    remaining = fault.rule["count"] - count["struck"]
    if remaining <= 0:
        return []
    skip = {"skip": fault.rule["skip"] - count["passed"]} if fault.server == AWS else {}
    return [replace(fault, rule={**fault.rule, "count": remaining, **skip})]


def _ask(url: str, rules: list[Any] | None = None) -> Any:
    body = None if rules is None else json.dumps([dict(rule) for rule in rules]).encode()
    request = urllib.request.Request(f"{url}/sandbox/faults", body)  # noqa: S310 - our own servers
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310  # nosec B310
        return json.load(response)


def disturb_environment(stack: Stack) -> dict[str, str]:
    """Return the environment of disturbed tasks: short timeouts, and secrets that occur nowhere else."""
    environment = {name: text.replace(AWS_SECRET, SECRET) for name, text in stack.environment().items()}
    return environment | ENVIRONMENT | {"POLYGON_API_KEY": KEY}


@contextlib.contextmanager
def open_house(home: Path) -> Iterator[FaultyHouse]:
    """Start the stack and Airflow in a folder, and set the sandbox up."""
    with run_stack(home, {}, aws_options=["--keep-glue"]) as stack:
        prepare_airflow(stack)
        set_up_sandbox(stack.environment(), stack.folder / "setup.log")
        airflow = ForkedAirflow(disturb_environment(stack), home / SIMULATED / "runs")
        try:
            yield FaultyHouse(StackReader(home, stack), airflow)
        finally:
            airflow.stop()

"""Fault rules: what a caller sees of each kind, how rules are counted, and that nothing fails without one."""

# ruff: noqa: S310, S608 - the tests ask their own server and write SQL

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox.aws.faults import KINDS, Fault, Faults
from sandbox.fault_rules import FaultRuleError
from tests.sandbox.aws.running import BUCKET, Sandbox, wait_for

Clients = Callable[[str], Any]


@pytest.fixture
def key() -> str:
    return f"faults/{uuid.uuid4().hex}"


@pytest.fixture
def clients(sandbox: Sandbox) -> Iterator[Clients]:
    """Clients that do not try again; the rules are gone afterwards."""

    def open_client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=sandbox.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"max_attempts": 0}),
        )

    yield open_client
    steer(sandbox)


def steer(sandbox: Sandbox, *rules: dict[str, Any]) -> None:
    request = urllib.request.Request(f"{sandbox.url}/sandbox/faults", json.dumps(rules).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert json.load(answer) == {"rules": len(rules)}


def count(sandbox: Sandbox) -> dict[str, int]:
    with urllib.request.urlopen(f"{sandbox.url}/sandbox/faults", timeout=10) as answer:
        return dict(json.load(answer)["struck"])


class TestCalls:
    @pytest.mark.parametrize(
        ("kind", "status", "code"), [("slow_down", 503, "SlowDown"), ("internal_error", 500, "InternalError")]
    )
    def test_a_refused_put_writes_nothing(
        self, sandbox: Sandbox, clients: Clients, kind: str, status: int, code: str
    ) -> None:
        key = f"faults/{uuid.uuid4().hex}"
        s3, before = clients("s3"), count(sandbox).get(kind, 0)
        steer(sandbox, {"kind": kind, "target": f"^S3 PUT /{BUCKET}/{key}$"})

        with pytest.raises(ClientError) as refused:
            s3.put_object(Bucket=BUCKET, Key=key, Body=b"x" * 100_000)

        assert refused.value.response["Error"]["Code"] == code
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
        assert s3.list_objects_v2(Bucket=BUCKET, Prefix=key)["KeyCount"] == 0
        assert count(sandbox)[kind] == before + 1
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")  # the rule struck as often as it should

    def test_a_get_is_refused_after_those_that_are_skipped(self, sandbox: Sandbox, clients: Clients, key: str) -> None:
        s3 = clients("s3")
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
        steer(sandbox, {"kind": "slow_down", "target": f"^S3 GET /{BUCKET}/{key}", "skip": 1})

        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"x"
        with pytest.raises(ClientError, match="SlowDown"):
            s3.get_object(Bucket=BUCKET, Key=key)

    def test_a_lost_answer_was_carried_out(self, sandbox: Sandbox, clients: Clients, key: str) -> None:
        s3 = clients("s3")
        steer(sandbox, {"kind": "lost_answer", "target": "^S3 PUT "})

        with pytest.raises(ClientError, match="InternalError"):
            s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")

        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"x"

    @pytest.mark.parametrize(
        ("kind", "code"), [("slow_down", "ThrottlingException"), ("internal_error", "InternalServerException")]
    )
    def test_other_services_say_it_their_way(self, sandbox: Sandbox, clients: Clients, kind: str, code: str) -> None:
        steer(sandbox, {"kind": kind, "target": "^AWSGlue.GetDatabases$"})

        with pytest.raises(ClientError, match=code):
            clients("glue").get_databases()

        clients("glue").get_databases()

    def test_a_write_of_spark_is_refused_where_its_data_come(self, sandbox: Sandbox, key: str) -> None:
        steer(sandbox, {"kind": "internal_error", "target": f"^HDFS CREATE /{BUCKET}/{key}$"})
        address = f"{sandbox.url}/webhdfs/v1/{BUCKET}/{key}?op=CREATE"

        try:
            with pytest.raises(urllib.error.HTTPError) as refused:
                put = urllib.request.Request(f"{address}&data=1", b"x", method="PUT")
                urllib.request.urlopen(put, timeout=10)
        finally:
            steer(sandbox)

        assert json.load(refused.value)["RemoteException"]["javaClassName"] == "java.io.IOException"


class TestQueries:
    @pytest.mark.parametrize(("kind", "state"), [("query_failed", "FAILED"), ("query_cancelled", "CANCELLED")])
    def test_end_without_a_result(self, sandbox: Sandbox, clients: Clients, kind: str, state: str) -> None:
        athena = clients("athena")
        place = {"OutputLocation": f"s3://{BUCKET}/results/"}
        steer(sandbox, {"kind": kind, "target": "SELECT 41"})

        def run() -> str:
            query = athena.start_query_execution(QueryString="SELECT 41", ResultConfiguration=place)["QueryExecutionId"]
            return wait_for(
                lambda: athena.get_query_execution(QueryExecutionId=query)["QueryExecution"]["Status"]["State"],
                {"QUEUED", "RUNNING"},
            )

        assert [run(), run()] == [state, "SUCCEEDED"]


class TestStatements:
    @pytest.mark.parametrize(("kind", "words"), [("statement_failed", "simulated"), ("serialization", "ERROR: 1023")])
    def test_in_the_middle_of_a_batch_roll_it_back(
        self, sandbox: Sandbox, clients: Clients, kind: str, words: str
    ) -> None:
        data, table = clients("redshift-data"), f"t{uuid.uuid4().hex[:8]}"
        target = {"Database": "dev", "WorkgroupName": "analytics"}

        def run(*sqls: str) -> dict[str, Any]:
            call = data.batch_execute_statement(Sqls=list(sqls), **target)["Id"]
            wait_for(lambda: data.describe_statement(Id=call)["Status"], {"SUBMITTED", "PICKED", "STARTED"})
            return dict(data.describe_statement(Id=call))

        assert run(f"CREATE TABLE {table} (n INTEGER)")["Status"] == "FINISHED"
        steer(sandbox, {"kind": kind, "target": f"INSERT INTO {table}", "skip": 1})
        insert = f"INSERT INTO {table} VALUES (1)"

        failed = run(insert, insert, insert)

        assert failed["Status"] == "FAILED"
        assert words in failed["Error"]
        assert [part["Status"] for part in failed["SubStatements"]] == ["FINISHED", "FAILED", "ABORTED"]
        assert run(f"SELECT COUNT(*) FROM {table}")["Status"] == "FINISHED"
        again = run(insert, f"SELECT COUNT(*) FROM {table}")
        assert data.get_statement_result(Id=f"{again['Id']}:2")["Records"] == [[{"longValue": 1}]]


class TestRules:
    def test_without_any_nothing_strikes(self) -> None:
        assert Faults().choose(KINDS, "S3 PUT /lake/key") is None

    def test_the_first_of_its_kind_that_matches_strikes(self) -> None:
        faults = Faults()
        faults.set_rules([{"kind": "query_failed"}, {"kind": "slow_down", "target": "b"}, {"kind": "lost_answer"}])

        found = [faults.choose(("slow_down", "lost_answer"), target) for target in "aba"]

        assert found == ["lost_answer", "slow_down", None]
        assert faults.describe()["struck"] == {"lost_answer": 1, "slow_down": 1}

    def test_counts_outlive_the_rules(self) -> None:
        faults = Faults()
        faults.set_rules({"kind": "slow_down", "count": None})
        assert {faults.choose(KINDS, "x") for _ in range(3)} == {"slow_down"}

        faults.set_rules([])

        assert faults.describe() == {"struck": {"slow_down": 3}, "rules": []}

    def test_a_seed_makes_the_same_draws(self) -> None:
        def draw(seed: int) -> list[bool]:
            rule = Fault(kind="slow_down", count=None, probability=0.5, seed=seed)
            return [rule.strikes("x") for _ in range(40)]

        assert draw(7) == draw(7) != draw(8)

    @pytest.mark.parametrize(
        "rule",
        [
            {},
            {"kind": "flood"},
            {"kind": "slow_down", "target": "("},
            {"kind": "slow_down", "probability": 2},
            {"kind": "slow_down", "speed": 1},
            {"kind": "slow_down", "struck": 1},
            {"kind": "slow_down", "probability": "often"},
            "slow_down",
        ],
    )
    def test_one_that_cannot_be_used_is_refused_and_changes_nothing(self, rule: object) -> None:
        faults = Faults()
        faults.set_rules({"kind": "slow_down"})

        with pytest.raises(FaultRuleError):
            faults.set_rules([{"kind": "lost_answer"}, rule])

        assert [kept["kind"] for kept in faults.describe()["rules"]] == ["slow_down"]

    def test_a_bad_rule_is_named_to_who_posts_it(self, sandbox: Sandbox) -> None:
        request = urllib.request.Request(f"{sandbox.url}/sandbox/faults", b'{"kind": "flood"}', method="POST")

        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)

        assert refused.value.code == 400
        assert "'flood' is none of" in json.load(refused.value)["error"]

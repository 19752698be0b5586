"""The edge as a task sees it: AWS held by moto in this process, and a provider that is a dictionary."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from mag7.index.constituents import Line
from mag7.index.facts import load_packaged_facts, pin_facts
from mag7.lake.objects import ObjectStore
from mag7.polygon.answers import Answer, AnswerStore
from mag7.polygon.calls import Call, grouped_daily, ticker_details
from mag7.polygon.errors import PolygonError
from mag7.tasks.facts import publish_packaged

BUCKET = "lake"
DAY = date(2024, 12, 13)
RUN = "mag7_daily-manual__2024-12-13T000000"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings as on AWS, and the Airflow connection that leads there."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MAG7_", "POLYGON_", "AIRFLOW_CONN_"))]:
        monkeypatch.delenv(name)
    for name, value in {
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(
            {"conn_type": "aws", "login": "testing", "password": "testing", "extra": {"region_name": "us-east-1"}}
        ),
        "MAG7_BUCKET": BUCKET,
        "MAG7_BUCKET_OWNER": "123456789012",
        "MAG7_COPY_ROLE": "arn:aws:iam::123456789012:role/copy",
        "POLYGON_API_KEY": "key-of-the-tests",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def aws(environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An account whose lake holds the checkout's facts and nothing else.

    Hooks share a client a service, since making one takes a third of a second.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    open_client = cache(partial(boto3.client, region_name="us-east-1"))
    monkeypatch.setattr(AwsBaseHook, "get_conn", lambda hook: open_client(hook.client_type))
    monkeypatch.setattr("mag7.tasks.connections.open_service", lambda service, **_: open_client(service))
    with mock_aws():
        open_client("s3").create_bucket(Bucket=BUCKET)
        publish_packaged(ObjectStore(open_client("s3"), BUCKET))
        yield
    pin_facts(load_packaged_facts())


@pytest.fixture
def store(aws: None) -> ObjectStore:
    return ObjectStore(boto3.client("s3", region_name="us-east-1"), BUCKET)


@pytest.fixture
def answers(store: ObjectStore) -> AnswerStore:
    return AnswerStore(store)


def details_body(symbol: str, **fields: Any) -> str:
    """Ticker details with the given fields."""
    return json.dumps({"status": "OK", "request_id": "r", "results": {"ticker": symbol, **fields}})


def grouped_body(day: date, **closes: float) -> str:
    """The bars of a session; each stands still at its close."""
    stamp = int(datetime(day.year, day.month, day.day, 21, tzinfo=UTC).timestamp() * 1000)
    bars = [
        {"T": symbol.replace("_", "."), "o": close, "h": close, "l": close, "c": close, "v": 1000, "t": stamp}
        for symbol, close in closes.items()
    ]
    return json.dumps({"status": "OK", "adjusted": False, "resultsCount": len(bars), "results": bars})


class FakeProvider:
    """Responds from a dictionary of paths; a path that it does not hold is a 404, one of ``errors`` raises."""

    source = "polygon"
    tries = 1

    def __init__(self) -> None:
        self.bodies: dict[str, str] = {}
        self.errors: dict[str, PolygonError] = {}
        self.asked: list[str] = []
        self.limiter = SimpleNamespace(clock=SimpleNamespace(now=lambda: datetime(2024, 12, 14, 5, tzinfo=UTC)))

    @property
    def requests(self) -> int:
        return len(self.asked)

    def say(self, call: Call, body: str) -> None:
        self.bodies[call.path] = body

    def fetch(self, path: str, check: Callable[[str], object], stop: threading.Event | None = None) -> Answer:
        self.asked.append(path)
        if path in self.errors:
            raise self.errors[path]
        now = self.limiter.clock.now()
        if path not in self.bodies:
            return Answer(path, now, 404, self.source, '{"status":"NOT_FOUND"}')
        check(self.bodies[path])
        return Answer(path, now, 200, self.source, self.bodies[path])

    def fetch_pages(self, path: str, check: Callable[[str], object]) -> Iterator[Answer]:
        yield self.fetch(path, check)

    def take_asked(self) -> list[tuple[str, str]]:
        """The calls since the last time, in short: ("bars" or a symbol, date), sorted by date and name."""
        asked, self.asked = self.asked, []
        return sorted((shorten(path) for path in asked), key=lambda pair: (pair[1], pair[0]), reverse=True)


def shorten(path: str) -> tuple[str, str]:
    if path.startswith("/v2/aggs/grouped/"):
        return "bars", path.split("?", maxsplit=1)[0].rpartition("/")[2]
    return path.split("?", maxsplit=1)[0].rpartition("/")[2], path.rpartition("date=")[2]


@pytest.fixture
def provider(aws: None, monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    """The provider that collecting tasks open."""
    fake = FakeProvider()
    monkeypatch.setattr("mag7.tasks.polygon_hook.PolygonHook.get_conn", lambda hook, settings: fake)
    return fake


def make_line(ticker: str, **changes: Any) -> Line:
    values = {"symbol": ticker, "company": f"{ticker} Corp", "issuer": f"X-{ticker.lower()}", "cik": None}
    return Line(**{"ticker": ticker, "sector": "Industrials", "main_line": True, **values, **changes})


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make the index hold the given lines on every session, and the seven be none."""

    def hold(*lines: Line) -> None:
        for module in ("collect", "document"):
            monkeypatch.setattr(f"mag7.tasks.{module}.list_lines", lambda session: lines)
        monkeypatch.setattr("mag7.tasks.collect.seven_lines", lambda session: ())

    return hold


def keep(answers: AnswerStore, call: Call, body: str | None, **changes: Any) -> None:
    """Store one response; a body of None is the provider's 404."""
    status = 404 if body is None else 200
    values = {"time": datetime(2024, 12, 14, 4, tzinfo=UTC), "status": status, "source": "polygon", "body": body or ""}
    answers.save(call.endpoint, call.trading_date, [Answer(**{"path": call.path, **values, **changes})])


def keep_details(answers: AnswerStore, symbol: str, day: date = DAY, **fields: Any) -> None:
    keep(answers, ticker_details(symbol, day), details_body(symbol, **fields))


def keep_bars(answers: AnswerStore, day: date = DAY, **closes: float) -> None:
    keep(answers, grouped_daily(day), grouped_body(day, **closes))


@pytest.fixture
def window() -> dict[str, Any]:
    return {"run": RUN, "sessions": [DAY.isoformat()], "facts": ""}

from __future__ import annotations

import gzip
import json
import logging
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mag7.polygon import transport
from mag7.polygon.error_statuses import read_retry_after
from mag7.polygon.errors import (
    AddressInvalidError,
    BodyInvalidError,
    CollectionStoppedError,
    KeyMissingError,
    KeyRejectedError,
    NotYetReleasedError,
    PlanRefusedError,
    PolygonError,
    RateLimitedError,
    RequestRefusedError,
    ServerFailedError,
    UnreachableError,
)
from mag7.polygon.rate import SYSTEM_CLOCK, RateLimiter
from tests.unit.polygon.local_provider import KEY, Canned, FakeClock, LocalProvider, details_body, open_client

PATH = "/v3/reference/tickers/AAPL?date=2024-12-13"


def refusal(code: int, **content: str) -> Canned:
    return Canned(code, json.dumps({"request_id": "r", **content}).encode())


def always(provider: LocalProvider, canned: Canned) -> None:
    provider.always["*"] = canned


@pytest.fixture
def silent_address() -> Iterator[str]:
    """An address whose queue of connections is full, so that a connection is neither taken nor refused."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
            waiting.append(client)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for client in waiting:
            client.close()


def test_a_response_is_kept_verbatim(provider: LocalProvider, clock: FakeClock) -> None:
    body = b'{"status": "OK",\n "results": {"ticker": "AAPL", "name": "na\xc3\xafve"}}'
    provider.scripts["AAPL"].append(Canned(body=body))
    answer = open_client(provider.address, clock).fetch(PATH)
    assert (answer.path, answer.status, answer.body) == (PATH, 200, body.decode())
    assert answer.time == clock.now()
    assert answer.completed


def test_compressed_responses_are_read(provider: LocalProvider) -> None:
    body = gzip.compress(details_body("AAPL"))
    provider.scripts["AAPL"].append(Canned(body=body, headers={"Content-Encoding": "gzip"}))
    assert open_client(provider.address).fetch(PATH).body == details_body("AAPL").decode()


def test_the_key_travels_in_the_header_alone(provider: LocalProvider) -> None:
    open_client(provider.address).fetch(PATH)
    assert provider.asked == [PATH]
    assert provider.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert [name for name, value in provider.headers[0].items() if KEY in value] == ["Authorization"]


def test_not_found_is_a_response(provider: LocalProvider) -> None:
    always(provider, refusal(404, status="NOT_FOUND", message="Ticker not found."))
    answer = open_client(provider.address).fetch(PATH)
    assert answer.status == 404
    assert answer.completed
    assert len(provider.asked) == 1


@pytest.mark.parametrize(
    ("canned", "kind", "says"),
    [
        (refusal(401, error="Unknown API Key"), KeyRejectedError, '"Unknown API Key"; set the Airflow connection'),
        (refusal(403, message="Your plan doesn't include"), PlanRefusedError, "choose a date that the key's plan"),
        (refusal(403, message="today's data before end of day."), NotYetReleasedError, "wait until the provider"),
        (refusal(400, error="bad date"), RequestRefusedError, 'HTTP 400 "bad date"; check POLYGON_BASE_URL'),
        (Canned(302, headers={"Location": "https://evil.test/x"}), RequestRefusedError, "redirected to https://evil"),
        (Canned(405, b"<h1>\x00Not\nhere</h1>"), RequestRefusedError, '"<h1> Not here</h1>"'),
    ],
)
def test_what_repeating_cannot_help_is_asked_once(
    provider: LocalProvider, clock: FakeClock, canned: Canned, kind: type[PolygonError], says: str
) -> None:
    always(provider, canned)
    with pytest.raises(kind) as caught:
        open_client(provider.address, clock).fetch(PATH)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{PATH}: HTTP {canned.status}")
    assert caught.value.status == canned.status
    assert "\n" not in str(caught.value)
    assert (len(provider.asked), clock.waits) == (1, [])


@pytest.mark.parametrize(
    ("canned", "kind", "says"),
    [
        (refusal(429, error="You've exceeded the maximum"), RateLimitedError, "lower POLYGON_CALLS_PER_MINUTE"),
        (Canned(429), RateLimitedError, "HTTP 429 after 3 tries"),
        (Canned(500, b"oops"), ServerFailedError, 'HTTP 500 "oops" after 3 tries'),
        (Canned(503, b"\xff"), ServerFailedError, "HTTP 503 after 3 tries"),
        (Canned(how="reset"), UnreachableError, "broke the response off"),
        (Canned(body=details_body("AAPL"), how="truncated"), UnreachableError, "IncompleteRead"),
        (Canned(body=b"<html>"), BodyInvalidError, "the body is not JSON"),
        (Canned(body=b""), BodyInvalidError, "the body is empty"),
        (Canned(body=b"[]"), BodyInvalidError, "not an object"),
        (Canned(body=b'{"a":"\xff"}'), BodyInvalidError, "the body is not UTF-8"),
        (Canned(body=b"{}", headers={"Content-Encoding": "gzip"}), BodyInvalidError, "cannot be decompressed"),
    ],
)
def test_what_may_pass_is_tried_again(
    provider: LocalProvider, clock: FakeClock, canned: Canned, kind: type[PolygonError], says: str
) -> None:
    provider.scripts["AAPL"].extend([canned, canned])
    client = open_client(provider.address, clock)
    assert client.fetch(PATH).status == 200
    assert client.requests == len(provider.asked) == 3

    always(provider, canned)
    with pytest.raises(kind, match="after 3 tries") as caught:
        client.fetch(PATH)
    assert says in str(caught.value)
    assert client.requests == 6


def test_a_body_is_checked_before_it_counts(provider: LocalProvider) -> None:
    def check(body: str) -> None:
        if "MSFT" in body:
            raise BodyInvalidError("details", "another company")

    provider.scripts["AAPL"].append(Canned(body=details_body("MSFT")))
    assert "AAPL" in open_client(provider.address).fetch(PATH, check).body
    always(provider, Canned(body=details_body("MSFT")))
    with pytest.raises(BodyInvalidError, match=r"AAPL.*another company after 3 tries") as caught:
        open_client(provider.address).fetch(PATH, check)
    assert caught.value.body == details_body("MSFT").decode()
    assert caught.value.status == 200


def test_backoff_grows_and_is_bounded(provider: LocalProvider, clock: FakeClock) -> None:
    always(provider, Canned(500))
    with pytest.raises(ServerFailedError):
        open_client(provider.address, clock, tries=9).fetch(PATH)
    longest = [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert len(clock.waits) == len(longest)
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(clock.waits, longest, strict=True))


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("Sat, 14 Dec 2024 00:00:12 GMT", 12.0),
        ("Fri, 13 Dec 2024 23:59:00 GMT", 0.0),
        ("86400", 120.0),
    ],
)
def test_retry_after_is_honoured(
    provider: LocalProvider, clock: FakeClock, status: int, header: str, seconds: float
) -> None:
    provider.scripts["AAPL"].append(Canned(status, headers={"Retry-After": header}))
    open_client(provider.address, clock).fetch(PATH)
    assert clock.seconds == pytest.approx(seconds)


@given(st.text(max_size=40))
def test_any_retry_after_is_bounded(text: str) -> None:
    seconds = read_retry_after(text, datetime(2024, 12, 14, tzinfo=UTC))
    assert seconds is None or 0 <= seconds <= 120


def test_a_429_slows_every_thread(provider: LocalProvider, clock: FakeClock) -> None:
    limiter = RateLimiter(None, clock)
    provider.scripts["AAPL"].append(Canned(429, headers={"Retry-After": "40"}))
    client = open_client(provider.address, clock, limiter=limiter, tries=1)
    with pytest.raises(RateLimitedError):
        client.fetch(PATH)
    client = open_client(provider.address, clock, limiter=limiter, tries=2)
    provider.scripts["AAPL"].append(Canned(429, headers={"Retry-After": "40"}))
    client.fetch(PATH)
    assert clock.seconds == 40
    assert limiter.acquire(threading.Event())


def test_every_attempt_keeps_the_rate(provider: LocalProvider, clock: FakeClock) -> None:
    always(provider, Canned(500))
    with pytest.raises(ServerFailedError):
        open_client(provider.address, clock, tries=3, calls_per_minute=5).fetch(PATH)
    assert clock.seconds >= 2 * 12


def test_a_429_without_advice_costs_at_least_a_calls_share(provider: LocalProvider, clock: FakeClock) -> None:
    provider.scripts["AAPL"].append(Canned(429))
    open_client(provider.address, clock, calls_per_minute=2).fetch(PATH)
    assert clock.seconds >= 30


def test_a_read_timeout_is_applied(provider: LocalProvider) -> None:
    always(provider, Canned(how="stalled"))
    with pytest.raises(UnreachableError, match="did not answer in time"):
        open_client(provider.address, read_timeout=0.1, tries=2).fetch(PATH)
    assert len(provider.asked) == 2
    assert not provider.released.is_set(), "the server never answered: the client gave up by itself"


def test_a_connect_timeout_is_applied(silent_address: str) -> None:
    with pytest.raises(UnreachableError, match="did not accept a connection in time"):
        open_client(silent_address, connect_timeout=0.1, tries=2).fetch(PATH)


def test_a_body_that_trickles_is_given_up(provider: LocalProvider) -> None:
    always(provider, Canned(body=b" " * 1000, how="dripping"))
    with pytest.raises(UnreachableError, match=r"had not sent the whole body after 0\.75 seconds"):
        open_client(provider.address, read_timeout=0.15, tries=1).fetch(PATH)


def test_a_body_without_end_is_given_up(provider: LocalProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "LARGEST_BODY", 100_000)
    bomb = gzip.compress(b" " * 10_000_000)
    always(provider, Canned(body=bomb, headers={"Content-Encoding": "gzip"}))
    with pytest.raises(UnreachableError, match="sent more than 100000 bytes"):
        open_client(provider.address, tries=1).fetch(PATH)


def test_an_unreachable_address_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UnreachableError) as caught:
        open_client(address).fetch(PATH)
    assert "cannot be connected to" in str(caught.value)
    assert f"POLYGON_BASE_URL (now {address})" in str(caught.value)


def test_a_stop_gives_up_instead_of_waiting(provider: LocalProvider) -> None:
    stop = threading.Event()
    always(provider, Canned(500))
    provider.on_request = lambda name: stop.set()
    client = open_client(provider.address, clock=SYSTEM_CLOCK, tries=50)  # type: ignore[arg-type]
    with pytest.raises(CollectionStoppedError):
        client.fetch(PATH, stop=stop)
    assert len(provider.asked) == 1


def test_connections_are_kept_and_as_many_as_threads(provider: LocalProvider, caplog: pytest.LogCaptureFixture) -> None:
    client = open_client(provider.address, threads=8)
    with caplog.at_level(logging.DEBUG, "urllib3"):
        for _ in range(5):
            threads = [threading.Thread(target=client.fetch, args=(PATH,)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(10)
    texts = [record.getMessage() for record in caplog.records]
    assert sum("Starting new HTTP connection" in text for text in texts) <= 8
    assert not any("pool is full" in text for text in texts)
    assert len(provider.asked) == 40
    client.close()


@pytest.mark.parametrize(
    ("headers", "source", "expected"),
    [
        ({}, None, "host"),
        ({}, "replay", "replay"),
        ({"X-Market-Source": "simulated"}, None, "simulated"),
        ({"X-Market-Source": "simulated"}, "replay", "simulated"),
        ({"X-Market-Source": "polygon"}, "replay", "replay"),
    ],
)
def test_a_response_says_where_it_came_from(
    provider: LocalProvider, headers: dict[str, str], source: str | None, expected: str
) -> None:
    always(provider, Canned(body=details_body("AAPL"), headers=headers))
    answer = open_client(provider.address, source=source).fetch(PATH)
    assert answer.source == (f"127.0.0.1:{provider.port}" if expected == "host" else expected)


def test_a_malformed_address_is_not_tried_again(clock: FakeClock) -> None:
    with pytest.raises(AddressInvalidError, match="POLYGON_BASE_URL: names no host") as caught:
        open_client("https://", clock)
    assert not caught.value.transient
    assert clock.waits == []


def test_an_address_may_have_a_path(provider: LocalProvider) -> None:
    open_client(f"{provider.address}/polygon/").fetch(PATH)
    assert provider.asked == [f"/polygon{PATH}"]


@pytest.mark.parametrize("key", ["", "  ", "two words", "line\nend", "clé-secrète"])
def test_a_key_that_cannot_work_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(KeyMissingError, match="POLYGON_API_KEY") as caught:
        open_client("http://127.0.0.1:1", key=key)
    assert not key.strip() or key not in str(caught.value)


ECHO = f"{KEY} {quote(KEY, safe='')} {json.dumps(KEY)}"


@pytest.mark.parametrize(
    "canned",
    [
        Canned(401, json.dumps({"error": f"Unknown API Key {KEY}"}).encode()),
        Canned(403, ECHO.encode()),
        Canned(500, ECHO.encode()),
        Canned(302, headers={"Location": f"http://127.0.0.1:1/?apiKey={KEY}"}),
        Canned(body=ECHO.encode()),
        Canned(body=details_body(KEY)),
        Canned(body=details_body("AAPL"), how="truncated"),
        Canned(how="reset"),
    ],
)
def test_the_key_leaks_nowhere(provider: LocalProvider, caplog: pytest.LogCaptureFixture, canned: Canned) -> None:
    always(provider, canned)
    client = open_client(provider.address)

    def check(body: str) -> None:
        raise BodyInvalidError("details", f"says {body}")

    with caplog.at_level(logging.DEBUG), pytest.raises(PolygonError) as caught:
        client.fetch(PATH, check)
    frames = caught.value.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    trace = "".join(traceback.StackSummary.extract(traceback.walk_tb(frames), capture_locals=True).format())
    assert "in fetch" in trace
    told = [str(caught.value), repr(caught.value), caught.value.body, trace, caplog.text, repr(client)]
    for form in (KEY, quote(KEY, safe=""), json.dumps(KEY)[1:-1]):
        assert not [text for text in told if form in text]
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or isinstance(caught.value.__context__, PolygonError)


def test_a_placeholder_key_changes_no_body(provider: LocalProvider) -> None:
    provider.scripts["AAPL"].append(Canned(body=details_body("AAPL", description="a demo")))
    assert "a demo" in open_client(provider.address, key="demo").fetch(PATH).body


def page(next_url: object) -> Canned:
    return Canned(body=json.dumps({"results": [], "next_url": next_url}).encode())


def test_pages_are_followed_on_our_own_address(provider: LocalProvider) -> None:
    provider.scripts["tickers"].extend(
        [
            page("https://evil.test/v3/reference/tickers?cursor=a%3D%3D&apiKey=secret"),
            page("/v3/reference/tickers?cursor=b"),
            Canned(body=b'{"results": []}'),
        ]
    )
    answers = list(open_client(provider.address).fetch_pages("/v3/reference/tickers?limit=1000"))
    assert len(answers) == 3
    assert provider.asked == [
        "/v3/reference/tickers?limit=1000",
        "/v3/reference/tickers?cursor=a%3D%3D",
        "/v3/reference/tickers?cursor=b",
    ]


@pytest.mark.parametrize("next_url", ["/tickers?cursor=1", 7, ["x"], "evil.test", "http://[x", "https://h//evil.test/"])
def test_pages_that_lead_nowhere_are_refused(provider: LocalProvider, next_url: object) -> None:
    provider.always["tickers"] = page(next_url)
    with pytest.raises(BodyInvalidError, match="next_url"):
        list(open_client(provider.address).fetch_pages("/tickers?cursor=1"))


def test_the_key_is_not_in_the_environment_of_the_library(
    provider: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYGON_API_KEY", "another-key-0123456789")
    open_client(provider.address).fetch(PATH)
    assert provider.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_importing_costs_no_library() -> None:
    program = (
        "import sys, mag7.polygon.collect;"
        "print([name for name in ('polygon', 'urllib3', 'boto3', 'pandas') if name in sys.modules])"
    )
    plugins = Path(__file__).parents[3] / "plugins"
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        env={"PYTHONPATH": str(plugins)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_next_page_keeps_parameters_without_a_value(provider: LocalProvider) -> None:
    provider.scripts["tickers"].extend([page("/v3/tickers?cursor=&limit=10"), Canned(body=b'{"results": []}')])
    list(open_client(provider.address).fetch_pages("/v3/tickers"))

    assert provider.asked == ["/v3/tickers", "/v3/tickers?cursor=&limit=10"]


def test_half_a_surrogate_pair_in_a_next_page_is_refused(provider: LocalProvider) -> None:
    provider.always["tickers"] = page("/v3/tickers?cursor=\ud800")
    with pytest.raises(BodyInvalidError, match="next_url is not an address"):
        list(open_client(provider.address).fetch_pages("/v3/tickers"))

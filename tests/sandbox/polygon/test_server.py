"""The market as a process: headers, counts, faults, replay and the end of its life."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, IncompleteRead, RemoteDisconnected
from pathlib import Path

import pytest

from sandbox.fault_rules import FaultRuleError, read_rules
from sandbox.polygon.app import MarketApp
from sandbox.polygon.faults import Fault
from sandbox.polygon.sessions import Clock
from sandbox.polygon.settings import Settings
from tests.sandbox.polygon.conftest import KEY, NOW, ROOT, Server, start_server, stop_server

DETAILS = "/v3/reference/tickers/{}?date=2024-12-13"
GROUPED = "/v2/aggs/grouped/locale/us/market/stocks/2024-12-13?adjusted=false"


@pytest.fixture(autouse=True)
def calm(server: Server) -> Iterator[None]:
    server.post("/sandbox/calls/reset")
    yield
    server.post("/sandbox/faults", [])


def test_answers_say_that_they_are_simulated(server: Server) -> None:
    response, body = server.get(DETAILS.format("AAPL"))
    assert response.headers["X-Market-Source"] == "simulated"
    assert response.headers["Content-Type"] == "application/json"
    assert json.loads(body)["results"]["market_cap"] == 3750689160990


def test_calls_are_counted_by_endpoint_and_status(server: Server) -> None:
    for symbol in ("AAPL", "MSFT", "ZZZZ"):
        server.get(DETAILS.format(symbol))
    server.get(GROUPED)
    server.get("/sandbox/health")
    calls = json.loads(server.get("/sandbox/calls")[1])
    assert calls["total"] == 4
    assert calls["by_endpoint"] == {"ticker_details": 3, "grouped_daily": 1}
    assert calls["by_status"] == {"ticker_details": {"200": 2, "404": 1}, "grouped_daily": {"200": 1}}
    assert server.post("/sandbox/calls/reset")["total"] == 0


def test_one_connection_serves_many_requests(server: Server) -> None:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
    bodies = []
    for _ in range(3):
        connection.request("GET", DETAILS.format("AAPL"), headers={"Authorization": "Bearer k"})
        bodies.append(connection.getresponse().read())
        sock = connection.sock
    assert connection.sock is sock is not None
    assert len(set(bodies)) == 1
    connection.close()


def test_rate_limits_strike_as_often_as_asked(server: Server) -> None:
    rules = [
        {"kind": "status", "status": 429, "retry_after": 2, "path": "tickers/AAPL", "count": 1},
        {"kind": "status", "status": 429, "path": "tickers/MSFT", "count": 1},
    ]
    assert server.post("/sandbox/faults", rules) == {"rules": 2}
    response, body = server.get(DETAILS.format("AAPL"))
    assert (response.status, response.headers["Retry-After"]) == (429, "2")
    assert json.loads(body)["error"].startswith("You've exceeded the maximum requests per minute")
    response, _ = server.get(DETAILS.format("MSFT"))
    assert (response.status, response.headers["Retry-After"]) == (429, None)
    assert [server.get(DETAILS.format(symbol))[0].status for symbol in ("AAPL", "MSFT")] == [200, 200]
    struck = json.loads(server.get("/sandbox/faults")[1])
    assert [rule["struck"] for rule in struck] == [1, 1]


def test_connections_break_in_three_ways(server: Server) -> None:
    server.post("/sandbox/faults", {"kind": "reset", "count": 1})
    with pytest.raises((ConnectionResetError, RemoteDisconnected)):
        server.get(DETAILS.format("AAPL"))
    server.post("/sandbox/faults", {"kind": "truncate", "count": 1})
    with pytest.raises(IncompleteRead):
        server.get(DETAILS.format("AAPL"))
    server.post("/sandbox/faults", {"kind": "stall", "count": 1})
    connection = HTTPConnection("127.0.0.1", server.port, timeout=0.3)
    connection.request("GET", DETAILS.format("AAPL"), headers={"Authorization": "Bearer k"})
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    assert server.get(DETAILS.format("AAPL"))[0].status == 200
    assert json.loads(server.get("/sandbox/calls")[1])["by_status"]["ticker_details"] == {"0": 2, "200": 2}


def test_latency_delays_and_leaves_the_answer_alone(server: Server) -> None:
    plain = server.get(DETAILS.format("AAPL"))[1]
    server.post("/sandbox/faults", {"kind": "latency", "seconds": 0.25})
    started = time.monotonic()
    assert server.get(DETAILS.format("AAPL"))[1] == plain
    assert time.monotonic() - started >= 0.25


def test_unknown_rules_are_refused(server: Server) -> None:
    response, body = server.get("/sandbox/faults", None, "POST", [{"kind": "explode"}])
    assert response.status == 400
    assert "explode" in json.loads(body)["error"]
    for rule in ({"path": "x"}, {"kind": "reset", "path": "("}, {"kind": "reset", "probability": 2}, "reset"):
        with pytest.raises(FaultRuleError):
            read_rules(Fault, rule)


def answer(rule: Fault, target: str) -> bytes:
    return MarketApp(Settings(clock=Clock(NOW)), [rule]).answer(target, KEY).reply.body


def test_bodies_are_bent() -> None:
    details = DETAILS.format("AAPL")
    assert answer(Fault(kind="not_json"), details).startswith(b"<html>")
    assert json.loads(answer(Fault(kind="wrong_types"), details))["results"]["market_cap"] == "n/a"
    assert "market_cap" not in json.loads(answer(Fault(kind="missing_keys"), details))["results"]
    bars = json.loads(answer(Fault(kind="missing_keys", keys=("c",)), GROUPED))["results"]
    assert all("c" not in bar and "o" in bar for bar in bars)
    scaled = json.loads(answer(Fault(kind="scale", factor=0.05), details))["results"]
    assert (scaled["weighted_shares_outstanding"], scaled["ticker"]) == (755_791_150, "AAPL")
    assert json.loads(answer(Fault(kind="other_company"), details))["results"]["ticker"] == "JNJ"
    assert "results" not in json.loads(answer(Fault(kind="empty_results"), GROUPED))
    failed = MarketApp(Settings(clock=Clock(NOW)), [Fault(kind="status", status=503)]).answer(details, KEY).reply
    assert failed.status == 503


def test_probability_is_seeded() -> None:
    def pattern(seed: int) -> list[bool]:
        rule = Fault(kind="reset", probability=0.3, seed=seed)
        return [rule.strikes("/x") for _ in range(200)]

    assert pattern(1) == pattern(1) != pattern(2)
    assert 30 < sum(pattern(1)) < 90


def test_recorded_bodies_come_first(tmp_path: Path) -> None:
    folder = tmp_path / "v3" / "reference" / "tickers"
    folder.mkdir(parents=True)
    (folder / "AAPL&date=2024-12-13.json").write_text('{"recorded": true}')
    app = MarketApp(Settings(clock=Clock(NOW), replay=tmp_path))
    for query, expected in (("?ticker=AAPL&date=2024-12-13", True), ("?date=2024-12-12", False), ("", False)):
        reply = app.answer(f"/v3/reference/tickers/AAPL{query}", KEY).reply
        assert ("recorded" in json.loads(reply.body)) is expected
    assert app.show_calls()["by_endpoint"] == {"ticker_details": 3}
    assert app.answer("/v3/reference/tickers/AAPL?date=2024-12-13", {}).reply.status == 401


def test_flags_take_away_the_header_and_the_process_ends_on_terminate(tmp_path: Path) -> None:
    rule = json.dumps({"kind": "status", "status": 502, "count": 1})
    running = start_server(tmp_path, "--no-source-header", "--key", "K", "--fault", rule)
    try:
        assert running.get(DETAILS.format("AAPL"), "K")[0].status == 502
        response, _ = running.get(DETAILS.format("AAPL"), "K")
        assert (response.status, response.headers["X-Market-Source"]) == (200, None)
        assert running.get(DETAILS.format("AAPL"), "other")[0].status == 401
    finally:
        assert stop_server(running) == 0


def test_the_market_does_not_outlive_its_parent(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    script = (
        "import subprocess, sys, time, pathlib\n"
        f"subprocess.Popen([sys.executable, '-m', 'sandbox.polygon', '--ready-file', {str(ready)!r}])\n"
        f"while not pathlib.Path({str(ready)!r}).exists(): time.sleep(0.05)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=60)
    pid = json.loads(ready.read_text())["pid"]
    end = time.monotonic() + 30
    while _runs(pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    try:
        return "State:\tZ" not in status.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False

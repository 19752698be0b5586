"""The servers of the sandbox by the commands that containers run, on an address that they are told."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sandbox.postgres import find_free_port
from tests.compose.compose_file import ROOT

READY_SECONDS = 90.0
END_SECONDS = 60.0
# moto sends what carries no signature away; any signature will do.
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=sandbox/20241213/us-east-1/s3/aws4_request"}


@contextmanager
def serving(server: str, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    port = find_free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", f"sandbox.{server}", *arguments, "--host", "127.0.0.1", "--port", str(port)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until_answering(f"http://127.0.0.1:{port}/sandbox/health", process)
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.communicate()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(url: str, method: str = "GET", body: bytes | None = None) -> Answer:
    target = urlsplit(url)
    connection = HTTPConnection(target.netloc, timeout=60)
    connection.request(method, url.removeprefix(f"http://{target.netloc}"), body, SIGNED)
    with connection.getresponse() as answer:
        return Answer(answer.status, dict(answer.getheaders()), answer.read())


def wait_until_answering(address: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        try:
            assert ask(address).status == 200
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"{address} does not answer")


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    process.terminate()
    _, said = process.communicate(timeout=END_SECONDS)
    return process.returncode, said


def test_market_answers_whole_and_keeps_its_source() -> None:
    with serving("polygon") as (url, process):
        path = "/v2/aggs/grouped/locale/us/market/stocks/2024-12-13?adjusted=false&include_otc=false&apiKey=any"
        answer = ask(url + path)
        assert answer.headers["X-Market-Source"] == "simulated"
        assert len(json.loads(answer.body)["results"]) > 500
        assert ask(f"{url}/no/such/path").status == 404
        assert end(process) == (0, "")


def test_aws_keeps_what_it_holds_over_an_end(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with serving("aws", "--state", str(state)) as (url, process):
        assert [ask(url + path, "PUT", b"").status for path in ("/kept", "/kept/key")] == [200, 200]
        ask(f"{url}/kept/key", "PUT", b"value")
        assert end(process)[0] == 0
    with serving("aws", "--state", str(state)) as (url, process):
        assert ask(f"{url}/kept/key").body == b"value"
        assert end(process)[0] == 0


def test_aws_that_is_killed_has_saved_what_it_was_asked_a_while_ago(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with serving("aws", "--state", str(state), "--save-seconds", "0.1") as (url, process):
        assert [ask(url + path, "PUT", b"").status for path in ("/kept", "/kept/key")] == [200, 200]
        time.sleep(3)
        process.kill()
        process.communicate(timeout=END_SECONDS)
    with serving("aws", "--state", str(state)) as (url, process):
        assert ask(f"{url}/kept/key").status == 200
        assert ask(f"{url}/kept/none").status == 404


def test_port_in_use_is_one_clear_line() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        run = subprocess.run(
            [sys.executable, "-m", "sandbox.polygon", "--port", str(other.getsockname()[1])],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=READY_SECONDS,
            check=False,
        )
    assert run.returncode == 1
    assert len(run.stderr.splitlines()) == 1
    assert "address already in use" in run.stderr

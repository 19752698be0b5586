"""A sandbox of AWS as a process of its own, and what its tests need to talk to it."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[3]
BUCKET = "lake"
ROLE = "arn:aws:iam::123456789012:role/copy"


@dataclass
class Sandbox:
    """A running sandbox."""

    process: subprocess.Popen[bytes]
    url: str
    state: Path

    def client(self, service: str, region: str = "us-east-1") -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


def start_sandbox(folder: Path, *options: str) -> Sandbox:
    ready, state = folder / "ready.json", folder / "state"
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-m", "sandbox.aws", "--state", str(state), "--ready-file", str(ready), *options]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    deadline = time.monotonic() + 30
    while not ready.exists():
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, "the sandbox did not answer"
        time.sleep(0.05)
    told = json.loads(ready.read_text())
    assert told["pid"] == process.pid
    return Sandbox(process, f"http://127.0.0.1:{told['port']}", state)


def wait_for(read: Callable[[], str], waiting: set[str], seconds: float = 60) -> str:
    deadline = time.monotonic() + seconds
    while (state := read()) in waiting:
        assert time.monotonic() < deadline, f"still {state}"
        time.sleep(0.02)
    return state


def parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="snappy")
    return buffer.getvalue()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

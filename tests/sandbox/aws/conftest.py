"""A sandbox of AWS for all tests of a session, and sandboxes of a test's own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.aws.running import BUCKET, Sandbox, start_sandbox


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[[], Sandbox]]:
    started: list[Sandbox] = []

    def start() -> Sandbox:
        started.append(start_sandbox(tmp_path))
        return started[-1]

    yield start
    for sandbox in started:
        if sandbox.process.poll() is None:
            sandbox.stop()


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    running = start_sandbox(tmp_path_factory.mktemp("aws"))
    running.client("s3").create_bucket(Bucket=BUCKET)
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def s3(sandbox: Sandbox) -> Any:
    return sandbox.client("s3")

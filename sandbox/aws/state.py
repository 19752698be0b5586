"""Keeps moto's state across restarts in one file, which is replaced atomically."""

import io
import os
import pickle
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from moto.athena.models import athena_backends
from moto.glue.models import glue_backends
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends
from moto.secretsmanager.models import secretsmanager_backends

from sandbox.aws.backends import ACCOUNT, Gate

FILE = "moto.state"
FORMAT = 1
BACKENDS: dict[str, Any] = {
    "s3": s3_backends,
    "glue": glue_backends,
    "athena": athena_backends,
    "iam": iam_backends,
    "secretsmanager": secretsmanager_backends,
}


class StateError(Exception):
    """The saved state cannot be used by this version of the sandbox."""


def save_state(state: Path, gate: Gate) -> int:
    """Write moto's state into the directory atomically and return its size in bytes."""
    buffer = io.BytesIO()
    buffer.write(_header())
    with gate.exclusive():
        held = {name: dict(backends[ACCOUNT].items()) for name, backends in BACKENDS.items()}
        pickle.dump(held, buffer, protocol=5)
    beside = state / f"{FILE}.new"
    with beside.open("wb") as target:
        target.write(buffer.getbuffer())
        target.flush()
        os.fsync(target.fileno())
    beside.replace(state / FILE)
    return buffer.tell()


def restore_state(state: Path) -> None:
    """Load the directory's state into moto; raise StateError when another version wrote it."""
    saved = state / FILE
    if not saved.exists():
        return
    with saved.open("rb") as source:
        header = source.readline()
        if header != _header():
            written = header.decode("ascii", "replace").strip()[:120]
            wanted = _header().decode().strip()
            message = f"{state} holds the state of another version ({written!r}, this is {wanted!r})"
            raise StateError(f"{message}: run `make sandbox-reset`")
        held = pickle.load(source)  # noqa: S301  # nosec B301 # our own file, see above
    for name, regions in held.items():
        for region, backend in regions.items():
            BACKENDS[name][ACCOUNT][region] = backend
    # moto keeps the owners of bucket names beside its backends; without them a second create would empty a bucket.
    for partition, backend in held["s3"].items():
        for bucket in backend.buckets:
            s3_backends.bucket_accounts[bucket] = (partition, ACCOUNT)


def _header() -> bytes:
    python = ".".join(platform.python_version_tuple()[:2])
    return f"sandbox.aws state {FORMAT} moto {version('moto')} python {python}\n".encode()

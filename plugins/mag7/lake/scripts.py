"""The Glue scripts of this checkout in the bucket, stored by content, so that a run uses exactly its own version."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from mag7.lake.keys import script_prefix
from mag7.lake.objects import ObjectStore
from mag7.paths import GLUE, SQL

GLUE_JOBS = ("processing-pipeline", "analytics-pipeline")
"""The jobs by name; each runs the script of its name, underscores for hyphens."""

SHARED_MODULES = ("market_documents.py", "market_tables.py")
"""Modules that both job scripts import; Glue gets them by --extra-py-files."""


def list_script_files() -> dict[str, Path]:
    """List the files of the Glue jobs: file name to its path in this checkout."""
    found = [*GLUE.glob("*.py"), *GLUE.glob("*.json"), *(SQL / "glue").glob("*.sql")]
    return {path.name: path for path in sorted(found)}


@lru_cache(maxsize=1)
def digest_scripts() -> str:
    """Name this version of the scripts by the first 16 hexadecimal digits of a SHA-256 over names and contents."""
    digest = hashlib.sha256()
    for name, path in list_script_files().items():
        digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def list_missing_scripts(store: ObjectStore) -> dict[str, Path]:
    """List the files of this version that are not in the bucket: file name to its path in this checkout."""
    prefix = script_prefix(digest_scripts())
    present = {stored.key for stored in store.list(prefix)}
    return {name: path for name, path in list_script_files().items() if prefix + name not in present}


def upload_scripts(store: ObjectStore) -> int:
    """Upload what is not in the bucket yet; returns the number of objects written, 0 for a known version."""
    missing = list_missing_scripts(store)
    for name, path in missing.items():
        store.put(script_prefix(digest_scripts()) + name, path.read_bytes(), "text/plain; charset=utf-8")
    return len(missing)


def script_arguments(bucket: str, script: str) -> dict[str, str]:
    """Return the Glue arguments that make a run use this checkout's version of a job script and its files."""
    prefix = f"s3://{bucket}/{script_prefix(digest_scripts())}"
    extra = [name for name in list_script_files() if not name.endswith(".py")]
    return {
        "--scriptLocation": f"{prefix}{script}",
        "--extra-py-files": ",".join(f"{prefix}{name}" for name in SHARED_MODULES),
        "--extra-files": ",".join(f"{prefix}{name}" for name in extra),
    }

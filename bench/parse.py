"""How long a process takes to parse all DAGs, compared with one that parses an empty DAG.

A DAG processor parses in new processes all day, so each import of a DAG file costs time again and again. Both processes
start Airflow; they run in turn, so that a busy machine affects both. ``python -m bench.parse`` prints a table.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 7
TARGET_RATIO = 1.25
FORBIDDEN = ("pandas", "pyarrow", "pyspark", "polygon")
LONGEST_SECONDS = 120

EMPTY_DAG = """
from airflow.sdk import DAG

with DAG("empty", schedule=None):
    pass
"""

PARSE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
packages = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"dags": sorted(bag.dags), "errors": bag.import_errors, "packages": packages}))
"""


class ParseFailedError(Exception):
    """A DAG could not be parsed, or parsing imports a forbidden package."""


@dataclass(frozen=True)
class Parsed:
    """One process: its wall and processor time in seconds, the DAGs it found and the packages it imported."""

    seconds: float
    cpu_seconds: float
    dags: tuple[str, ...]
    packages: frozenset[str]


def measure(rounds: int = ROUNDS) -> dict[str, Any]:
    """Time both processes in turn, ``rounds`` times each; parse_ratio is the median of each round's ratio.

    Raises ParseFailedError where a DAG has an error or parsing imports a forbidden package.
    """
    return summarise(measure_rounds(rounds))


def measure_rounds(rounds: int) -> list[tuple[Parsed, Parsed]]:
    """Yield (empty, all) for each round, after a round that only writes the byte code of both."""
    with TemporaryDirectory(prefix="bench-parse-") as folder:
        empty = Path(folder) / "dags"
        empty.mkdir()
        (empty / "empty.py").write_text(EMPTY_DAG)
        pairs = [(parse(empty, Path(folder)), parse(ROOT / "dags", Path(folder))) for _ in range(rounds + 1)]
    check_imports(pairs[0][1].packages)
    return pairs[1:]


def parse(dags: Path, home: Path) -> Parsed:
    """Parse a folder of DAGs in a new process."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment = inherited | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": str(ROOT / "plugins"),
    }
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(dags)],
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise ParseFailedError(f"parsing {dags} ended with code {done.returncode}: {done.stderr.strip()[-300:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    if found["errors"] or not found["dags"]:
        raise ParseFailedError(f"{dags} holds {len(found['dags'])} DAGs, with errors {found['errors']}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Parsed(seconds, cpu, tuple(found["dags"]), frozenset(found["packages"]))


def check_imports(packages: frozenset[str]) -> None:
    """Raise ParseFailedError where parsing all DAGs imported a package that costs a second."""
    if found := [name for name in FORBIDDEN if name in packages]:
        raise ParseFailedError(
            f"parsing all DAGs imports {', '.join(found)}: import it inside the function that needs it"
        )


def summarise(pairs: Sequence[tuple[Parsed, Parsed]]) -> dict[str, Any]:
    """Reduce the rounds to the recorded figures."""
    return {
        "parse_ratio": round(median(every.seconds / empty.seconds for empty, every in pairs), 3),
        "parse_cpu_ratio": round(median(every.cpu_seconds / empty.cpu_seconds for empty, every in pairs), 3),
        "parse_seconds": round(median(every.seconds for _, every in pairs), 3),
        "parse_empty_seconds": round(median(empty.seconds for empty, _ in pairs), 3),
        "parse_dags": list(pairs[0][1].dags),
    }


def print_table(pairs: Sequence[tuple[Parsed, Parsed]]) -> None:
    """Print every round and the medians."""
    figures = summarise(pairs)
    print(f"a process that parses {', '.join(figures['parse_dags'])}, and one that parses an empty DAG; seconds")
    print("round  empty    cpu    all    cpu  ratio  cpu ratio")
    for number, (empty, every) in enumerate(pairs, start=1):
        print(
            f"{number:5d}  {empty.seconds:5.2f}  {empty.cpu_seconds:5.2f}"
            f"  {every.seconds:5.2f}  {every.cpu_seconds:5.2f}"
            f"  {every.seconds / empty.seconds:5.3f}  {every.cpu_seconds / empty.cpu_seconds:9.3f}"
        )
    print(
        f"median {figures['parse_empty_seconds']:4.2f}         {figures['parse_seconds']:5.2f}"
        f"         {figures['parse_ratio']:5.3f}  {figures['parse_cpu_ratio']:9.3f}   (target {TARGET_RATIO})"
    )
    print(f"imported none of {', '.join(FORBIDDEN)}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    print_table(measure_rounds(parser.parse_args().rounds))


if __name__ == "__main__":
    main()

"""Change one condition or operator of the SQL at a time and run the tests of it: ``python -m tools.mutate_sql``.

Works in a copy of the checkout, one mutant after the other. Prints how many mutants of each folder the tests found, and
each mutant that they did not find. The exit code is 0 in any case: a score is a measurement.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SQL = Path("include/sql")
COPIED = ("plugins", "include", "dags", "sandbox", "tests", "tools", "pyproject.toml")
TESTS = {
    "athena/checks": ("tests/sql/test_checks.py",),
    "athena/analysis": ("tests/sql/test_analysis.py", "tests/sql/test_splits.py"),
    "redshift/analysis": ("tests/sql/test_analysis.py",),
    "redshift/load": ("tests/sql/test_warehouse.py", "tests/sql/test_splits.py"),
    "redshift/schema": ("tests/sql/test_splits.py", "tests/sql/test_migrations.py"),
    "redshift/versions": ("tests/sql/test_migrations.py",),
    "glue": ("tests/glue",),
}
"""The tests of the SQL of each folder below include/sql."""

MUTATIONS: tuple[tuple[str, str], ...] = (
    (r"(?<![<>!=|-])<(?![=>])", "<="),
    (r"(?<![<>!=|-])>(?!=)", ">="),
    (r"<=", "<"),
    (r">=", ">"),
    (r"<>", "="),
    (r"(?<![<>!=|])=(?!=)", "<>"),
    (r"\bAND\b", "OR"),
    (r"\bOR\b", "AND"),
    (r"\bIS NULL\b", "IS NOT NULL"),
    (r"\bIS NOT NULL\b", "IS NULL"),
    (r"\bNOT (?!NULL|EXISTS)", ""),
    (r"\bEXISTS\b", "NOT EXISTS"),
    (r"\bSUM\(", "MAX("),
    (r"\bMAX\(", "MIN("),
    (r"\bMIN\(", "MAX("),
    (r"\bCOUNT\(DISTINCT ", "COUNT("),
    (r"\bLEFT JOIN\b", "INNER JOIN"),
    (r"\bFULL OUTER JOIN\b", "INNER JOIN"),
    (r" \* ", " / "),
    (r" / ", " * "),
    (r" \+ ", " - "),
    (r" - ", " + "),
    (r"\bDESC\b", "ASC"),
    (r"(?<![\w.'(])100(?![\w.])", "101"),
)
# Not code: comments, strings, Jinja's own blocks.
_LEFT_OUT = re.compile(r"--[^\n]*|\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|'(?:[^']|'')*'", re.DOTALL)


@dataclass(frozen=True)
class Mutant:
    """A file below include/sql with one change in it."""

    file: Path
    line: int
    before: str
    after: str
    text: str

    @property
    def folder(self) -> str:
        """The folder of the file below include/sql."""
        return self.file.parent.relative_to(SQL).as_posix()

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.before.strip()} -> {self.after.strip() or '(nothing)'}"


def list_mutants(root: Path) -> Iterator[Mutant]:
    """List all mutants of the SQL files with tests, in a fixed order."""
    for folder in TESTS:
        for path in sorted((root / SQL / folder).glob("*.sql")):
            yield from mutate(path.relative_to(root), path.read_text(encoding="utf-8"))


def mutate(file: Path, text: str) -> Iterator[Mutant]:
    """List the mutants of a file's text."""
    code = _LEFT_OUT.sub(lambda found: "\0" * len(found[0]), text)
    for pattern, after in MUTATIONS:
        for found in re.finditer(pattern, code):
            start, end = found.span()
            yield Mutant(file, text.count("\n", 0, start) + 1, found[0], after, text[:start] + after + text[end:])


def copy_checkout(target: Path) -> None:
    """Copy what the tests need, so that a killed run leaves no mutant in the checkout."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target / name)


def is_found(mutant: Mutant, root: Path, seconds: float) -> bool:
    """Return whether the tests of a mutant's folder fail with it; a timeout counts as found."""
    path = root / mutant.file
    whole = path.read_text(encoding="utf-8")
    path.write_text(mutant.text, encoding="utf-8")
    try:
        return not run_tests(TESTS[mutant.folder], root, seconds)
    finally:
        path.write_text(whole, encoding="utf-8")


def run_tests(tests: Sequence[str], root: Path, seconds: float) -> bool:
    """Run tests until the first failure; returns whether all passed."""
    paths = os.pathsep.join([str(root), str(root / "plugins")])
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-m", "not slow", "-p", "no:cacheprovider", *tests],
            cwd=root,
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return ended.returncode == 0


def main() -> int:
    """Run a sample of the mutants and print the score."""
    parser = argparse.ArgumentParser(prog="tools.mutate_sql", description=__doc__)
    parser.add_argument("--sample", type=int, default=100, help="how many mutants; 0 takes all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", action="append", choices=sorted(TESTS), help="only of this folder")
    parser.add_argument("--seconds", type=float, default=300, help="longest test run")
    options = parser.parse_args()
    mutants = [one for one in list_mutants(ROOT) if not options.folder or one.folder in options.folder]
    if options.sample and options.sample < len(mutants):
        mutants = random.Random(options.seed).sample(mutants, options.sample)
    scores: dict[str, list[bool]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        root = Path(folder)
        copy_checkout(root)
        for tests in sorted({TESTS[one.folder] for one in mutants}):
            if not run_tests(tests, root, options.seconds):
                print(f"without a mutant {', '.join(tests)} fail: nothing is measured")
                return 1
        for mutant in mutants:
            found = is_found(mutant, root, options.seconds)
            scores[mutant.folder].append(found)
            if not found:
                print(f"survived: {mutant}", flush=True)
    print("| folder | mutants | found |\n|---|--:|--:|")
    for name, found_ones in sorted(scores.items()):
        print(f"| {name} | {len(found_ones)} | {sum(found_ones)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())

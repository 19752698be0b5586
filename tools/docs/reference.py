"""The generated parts of the documentation: ``python -m tools.docs.reference``, which is ``make docs-reference``.

Each part is a region of a page. Its sources are settings, declared tables, check files, DAG files and the recorded
figures. Nothing is measured here, so it takes a second.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from bench.figures import BENCHMARKS, LIST_AGES, Benchmark, find_figure, read_figures
from mag7.lake.checks import CHECKS
from mag7.lake.tables import DECLARATION, SPLITS
from mag7.settings import Settings
from tools.docs.regions import DOCS, ROOT, Region, render_table

COMMAND = "docs-reference"
DAGS = ROOT / "dags"

SPLIT_MEANINGS = {
    "execution_date": "first session on which the shares trade on the new basis",
    "issuer": "key of the company",
    "ticker": "key of the company's main line",
    "split_from": "old shares",
    "split_to": "new shares that replace them",
    "source": "where the split comes from: a row of the facts, or the provider's list",
}


class UndescribedError(LookupError):
    """An entry of a reference page has no description in its declaration."""


def render_settings() -> str:
    """Lay out every setting: environment variable, default, bounds and meaning."""
    rows = (
        (f"`{variable}`", default or "none", bounds, meaning) for variable, default, bounds, meaning in list_settings()
    )
    return render_table(("variable", "default", "bounds", "meaning"), rows)


def list_settings() -> Iterator[tuple[str, str, str, str]]:
    """List variable, default, bounds and meaning of each setting of mag7.settings."""
    for item in fields(Settings):
        about = item.metadata
        default = f"{item.default:,g}" if isinstance(item.default, float) else str(item.default)
        yield about["variable"], default, _bounds(about), about["meaning"]


def _bounds(about: Mapping[str, Any]) -> str:
    if about["kind"] not in {int, float}:
        return ""
    least, most = about["least"], about["most"]
    return f"from {least:g}" if most == math.inf else f"{least:g} to {most:g}"


def render_tables() -> str:
    """Lay out every published table with its columns."""
    declared: dict[str, Any] = json.loads(DECLARATION.read_text(encoding="utf-8"))
    sections = [
        _table_section(
            name,
            f"A row is {entry['row']}. Key: {', '.join(entry['key'])}.",
            ((one["name"], one["type"], one["nullable"], one.get("meaning", "")) for one in entry["columns"]),
        )
        for name, entry in declared.items()
    ]
    splits = ((one.name, one.type, one.nullable, SPLIT_MEANINGS.get(one.name, "")) for one in SPLITS.columns)
    text = f"A row is a split of a company; it belongs to no session. Key: {', '.join(SPLITS.key)}."
    return "\n\n".join([*sections, _table_section(SPLITS.name, text, splits)])


def _table_section(name: str, text: str, columns: Iterable[tuple[str, str, bool, str]]) -> str:
    rows = []
    for column, kind, nullable, meaning in columns:
        if not meaning:
            raise UndescribedError(f"{name}.{column} has no meaning: add it where the column is declared")
        rows.append((f"`{column}`", kind, "NULL" if nullable else "", meaning))
    return f"## {name}\n\n{text}\n\n{render_table(('column', 'type', 'may be', 'meaning'), rows)}"


def render_checks() -> str:
    """Lay out every check: its name, and the sentence that must hold."""
    return render_table(("check", "what must hold"), (_describe_check(path) for path in sorted(CHECKS.glob("*.sql"))))


def _describe_check(path: Path) -> tuple[str, str]:
    first, *rest = path.read_text(encoding="utf-8").splitlines()
    sentence = first.removeprefix("-- Check: ")
    if sentence == first:
        raise UndescribedError(f"{path.name} does not begin with `-- Check: <what must hold>`")
    more = []
    for line in rest:
        if not line.startswith("-- "):
            break
        more.append(line.removeprefix("-- "))
    return f"`{path.stem}`", " ".join([sentence[0].upper() + sentence[1:], *more])


def render_dag(name: str) -> str:
    """Return a DAG's manual: its file's docstring, which Airflow shows beside the DAG."""
    manual = ast.get_docstring(ast.parse((DAGS / f"{name}.py").read_text(encoding="utf-8")))
    if not manual or not manual.startswith("# "):
        raise UndescribedError(f"dags/{name}.py has no docstring that begins with a heading")
    return manual


def list_dags() -> list[str]:
    """Name every DAG file."""
    return sorted(path.stem for path in DAGS.glob("*.py"))


def render_params() -> str:
    """Lay out the params of the DAGs that people trigger."""
    from mag7.tasks.request import range_params, request_params

    return "\n\n".join(
        f"## {dag}\n\n"
        + render_table(
            ("param", "default", "meaning"),
            ((f"`{name}`", json.dumps(param.value), str(param.description)) for name, param in params().items()),
        )
        for dag, params in (("mag7_daily", request_params), ("mag7_backfill", range_params))
    )


def render_figures(*names: str) -> str:
    """Lay out the recorded figures with commit, date and machine."""
    recorded = read_figures()
    return "\n\n".join(_figures_section(BENCHMARKS[name], name, recorded[name]) for name in names)


def _figures_section(benchmark: Benchmark, name: str, entry: Mapping[str, Any]) -> str:
    rows = (
        (figure.name, f"{_find(entry, name, figure.key)} {figure.unit}".strip(), figure.target)
        for figure in benchmark.figures
    )
    table = render_table(("figure", "measured", "target"), rows, "lrr")
    return f"### {benchmark.title}\n\n`{benchmark.command}`, {_describe_entry(entry)}.\n\n{table}"


def _describe_entry(entry: Mapping[str, Any]) -> str:
    machine = entry["machine"]
    processor = f" ({machine['processor']})" if machine.get("processor") else ""
    return f"measured on {entry['date']} at commit {entry['commit']} on {machine['cores']} cores{processor}"


def _find(entry: Mapping[str, Any], name: str, key: str) -> str:
    return f"{find_figure({key: entry['values'].get(key)}, name, key):,}"


def render_headlines() -> str:
    """Lay out README's figures with their targets."""
    recorded, rows = read_figures(), []
    for name, key in HEADLINES:
        figure = next(one for one in BENCHMARKS[name].figures if one.key == key)
        value = f"{_find(recorded[name], name, key)} {figure.unit}".strip()
        rows.append((f"{BENCHMARKS[name].title}: {figure.name}", value, figure.target, recorded[name]["date"]))
    return render_table(("figure", "measured", "target", "on"), rows, "lrrl")


HEADLINES = (
    ("daily", "daily_seconds"),
    ("collector", "loop_ratio"),
    ("parse", "parse_ratio"),
    ("backfill", "calls_per_session"),
    ("backfill", "minutes"),
    ("faults", "faults"),
    ("faults", "differences"),
)


def render_list_age() -> str:
    """Lay out how far an old list of members moves the share."""
    entry = read_figures()["list_age"]
    header = ("list is days old", "companies off, mean", "cap in doubt, most, %", "share off, mean, points", "most")
    keys = ("companies", "doubt", "share_mean", "share_most")
    rows = ((str(age), *(_find(entry, "list_age", f"{age}.{key}") for key in keys)) for age in LIST_AGES)
    return render_table(header, rows, "rrrrr")


def _region(page: Path, subject: str, render: Callable[[], str]) -> Region:
    return Region(page, subject, COMMAND, render)


def list_regions() -> list[Region]:
    """List every region that this command writes."""
    reference, measured = DOCS / "reference", [name for name in BENCHMARKS if name != "list_age"]
    return [
        _region(reference / "settings.md", "settings", render_settings),
        _region(reference / "tables.md", "tables", render_tables),
        _region(reference / "checks.md", "checks", render_checks),
        _region(reference / "params.md", "params", render_params),
        *(_region(reference / "dags" / f"{name}.md", name, partial(render_dag, name)) for name in list_dags()),
        _region(DOCS / "benchmarks.md", "figures", partial(render_figures, *measured)),
        _region(DOCS / "explanation" / "membership.md", "list age", render_list_age),
        _region(ROOT / "README.md", "figures", render_headlines),
    ]


def main() -> None:
    """Write every region."""
    for region in list_regions():
        region.write()


if __name__ == "__main__":
    main()

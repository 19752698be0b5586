"""``python -m tools.faults``: many seeded sequences; prints a table and writes .sandbox/faults.json."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.figures import record
from bench.machine import describe_machine
from sandbox.stack import ROOT
from tools.faults.flows import FLOWS
from tools.faults.harness import Report, run_sequences
from tools.faults.house import open_house
from tools.faults.plan import STARTS, draw_sequences

SEQUENCES = 32
LONGEST_SECONDS = 22 * 60
"""No sequence starts later. The last one can take two more minutes, so that the whole stays below 25."""
LEAST_FAULTS, LEAST_KILLS = 200, 60


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sequences; returns 1 where something was found, or where a whole run tried too little."""
    parser = argparse.ArgumentParser(prog="python -m tools.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="seed of the random draw (default: %(default)s)")
    parser.add_argument("--sequences", type=int, default=SEQUENCES, help="number of sequences (default: %(default)s)")
    parser.add_argument("--only", type=int, default=None, help="only the sequence of this number, as in a report")
    parser.add_argument(
        "--seconds", type=float, default=LONGEST_SECONDS, help="start no sequence later (default: %(default)s)"
    )
    parser.add_argument("--flow", action="append", choices=tuple(FLOWS), help="only this flow (default: all in turn)")
    parser.add_argument(
        "--home", type=Path, default=None, help="keep the stack and the results of undisturbed runs here"
    )
    parser.add_argument("--report", type=Path, default=ROOT / ".sandbox" / "faults.json")
    parser.add_argument("--record", action="store_true", help="also write the figures into docs/figures.json")
    options = parser.parse_args(arguments)
    report, began = Report(options.seed), time.monotonic()
    flows = tuple(options.flow or FLOWS)
    sequences = draw_sequences(options.seed, options.sequences, flows)
    wanted = [sequence for sequence in sequences if options.only in {None, sequence.number}]
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, open_house(options.home or Path(folder)) as house:
        house.learn([FLOWS[name] for name in flows], options.home and options.home / "undisturbed.pickle")
        print(f"undisturbed runs done after {time.monotonic() - began:.0f} s", flush=True)
        run_sequences(house, wanted, report, lambda line: print(line, flush=True), began + options.seconds)
        report.add_leaks(house.list_leaks())
    report.seconds = time.monotonic() - began
    options.report.parent.mkdir(parents=True, exist_ok=True)
    options.report.write_text(json.dumps(report.content(), indent=1))
    print(tabulate(report))
    if options.record:
        record("faults", {**report.content(), "kinds": len(report.by_kind)}, describe_machine())
    whole = options.sequences >= SEQUENCES and options.only is None
    lacks = list_lacks(report) if whole else []
    for lack in lacks:
        print(f"too little was tried: {lack}")
    return int(bool(report.found or lacks))


def list_lacks(report: Report) -> list[str]:
    """List what a whole run tried too little of, one phrase each."""
    lacks = [f"{name} never struck" for name in report.never_struck]
    for name, count, least in (("faults", report.faults, LEAST_FAULTS), ("kills", report.kills, LEAST_KILLS)):
        if count < least:
            lacks.append(f"{count} {name}, {least} are wanted")
    return lacks


def tabulate(report: Report) -> str:
    """Lay out the report for people."""
    lines = [f"{name:44s} {count:5d}" for name, count in sorted(report.by_kind.items())]
    lines.append(f"{'faults in all':44s} {report.faults:5d}")
    # In the order of a run; stages without a kill show as 0.
    stages = dict.fromkeys([stage for starts in STARTS.values() for stage in starts] + list(report.kills_by_stage))
    lines += [f"{'kills in ' + stage:44s} {report.kills_by_stage.get(stage, 0):5d}" for stage in stages]
    lines += [
        f"{'kills in all':44s} {report.kills:5d}",
        *(f"{'tasks cleared after ' + event:44s} {count:5d}" for event, count in sorted(report.cleared_after.items())),
        f"{'tasks cleared in all':44s} {report.cleared:5d}",
        f"{'failed runs cleared':44s} {report.helped:5d}",
        f"{'processes of runs':44s} {report.runs:5d}",
        f"{'sequences survived':44s} {report.survived:5d} of {report.sequences}",
        f"{'sessions that said what they lacked':44s} {report.disclosed:5d}",
        f"{'differences':44s} {len(report.differences):5d}",
        f"{'green with missing data':44s} {len(report.green_with_missing_data):5d}",
        f"{'files and objects that show a secret':44s} {len(report.leaks):5d}",
        f"{'seconds':44s} {report.seconds:5.0f}",
        *report.differences,
        *report.green_with_missing_data,
        *report.leaks,
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())

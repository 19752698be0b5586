"""``make bench``: every benchmark in turn, printed as tables and written to .sandbox/bench.json."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench import collector, daily, parse
from bench.figures import record
from bench.machine import describe_machine, print_machine, read_load

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / ".sandbox" / "bench.json"
CALLS = 10_000


def main() -> None:
    """Measure, print and write; where a benchmark fails, nothing is written."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=OUTPUT, help="where the figures go (default: .sandbox/bench.json)"
    )
    parser.add_argument("--record", action="store_true", help="also write the figures into docs/figures.json")
    options = parser.parse_args()
    output: Path = options.output
    output.unlink(missing_ok=True)
    machine = describe_machine()
    print_machine(machine)

    print()
    parsed = parse.measure_rounds(parse.ROUNDS)
    parse.print_table(parsed)

    print()
    rounds = list(collector.measure_rounds(CALLS, collector.ROUNDS))
    collector.print_table(rounds)

    print()
    runs = daily.measure()
    daily.print_table(runs)

    figures = {
        **daily.summarise(runs),
        **collector.summarise(rounds),
        **parse.summarise(parsed),
        "machine": {**machine, "load_at_end": read_load()},
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(figures, indent=1))
    print(f"\nfigures written to {output}")
    if options.record:
        for name in ("daily", "collector", "parse"):
            record(name, figures, machine)


if __name__ == "__main__":
    main()

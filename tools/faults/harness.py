"""Disturbed runs: each sequence runs through its faults and kills until success; an undisturbed run is its measure.

A difference is anything that readers see differently after the last run. Green with missing data is a successful run
after which readers see less than they should, or something else, without a notice. A published row with the quality
partial or flagged, or with failed lines, is a notice. A torn warehouse is a failed run that left a session's rows
neither as they were before nor as they should be.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from tools.declared import name_values
from tools.faults.compared import leave_out_flow, list_differences
from tools.faults.flows import FLOWS, Flow
from tools.faults.forked import AirflowGoneError, Ended, Kills
from tools.faults.house import LEFT_BY_A_RUN, FaultyHouse
from tools.faults.plan import FAILURE, KILL, KINDS, MUST_BE_KILLED, SUCCESS, Clear, Disturbance, Fault, stage_of
from tools.stack_reader import Published

MOST_ATTEMPTS = 6
FAULTY_ATTEMPTS = 3
"""Attempts with the rest of the faults; the later ones have none."""

Say = Callable[[str], None]


@dataclass
class Report:
    """The result of a number of sequences; the servers count the faults."""

    seed: int
    by_kind: dict[str, int] = field(default_factory=dict)
    kills_by_stage: dict[str, int] = field(default_factory=dict)
    cleared_after: dict[str, int] = field(default_factory=dict)
    sequences: int = 0
    runs: int = 0
    survived: int = 0
    helped: int = 0
    disclosed: int = 0
    differences: list[str] = field(default_factory=list)
    green_with_missing_data: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def faults(self) -> int:
        """The number of faults."""
        return sum(self.by_kind.values())

    @property
    def kills(self) -> int:
        """The number of kills."""
        return sum(self.kills_by_stage.values())

    @property
    def cleared(self) -> int:
        """The number of successful tasks that were cleared with their downstream tasks."""
        return sum(self.cleared_after.values())

    @property
    def never_struck(self) -> list[str]:
        """What was never tried: kinds of fault, and kills in stages that write readers' data."""
        return [kind for kind in KINDS if not self.by_kind.get(kind)] + [
            f"kill in {stage}" for stage in MUST_BE_KILLED if not self.kills_by_stage.get(stage)
        ]

    def add_leaks(self, leaks: Iterable[str]) -> None:
        """Record leaks, each once: a leak in a permanent place is found after each sequence."""
        self.leaks = list(dict.fromkeys([*self.leaks, *leaks]))

    @property
    def found(self) -> list[str]:
        """All errors."""
        return self.differences + self.green_with_missing_data + self.leaks

    def content(self) -> dict[str, Any]:
        """Return the report for JSON."""
        counted = asdict(self) | {"faults": self.faults, "kills": self.kills, "cleared": self.cleared}
        return counted | {
            "by_kind": dict(sorted(self.by_kind.items())),
            "kills_by_stage": dict(sorted(self.kills_by_stage.items())),
            "never_struck": self.never_struck,
            "differences": len(self.differences),
            "green_with_missing_data": len(self.green_with_missing_data),
            "leaks": len(self.leaks),
            "found": self.found,
            "seconds": round(self.seconds, 1),
        }


def run_sequences(
    house: FaultyHouse, sequences: Iterable[Disturbance], report: Report, say: Say, until: float = float("inf")
) -> None:
    """Run sequences one after another; none starts after ``until``, in ``time.monotonic``."""
    began = time.monotonic()
    for sequence in sequences:
        if time.monotonic() > until:
            break
        started, before = time.monotonic(), set(report.found)
        _Sequence(house, sequence, report).run()
        report.seconds = time.monotonic() - began
        for found in report.found:
            if found not in before:
                say(f"    {found}")
        say(
            f"{sequence.number:3d} {sequence.flow:8s} {time.monotonic() - started:5.1f} s  faults {report.faults},"
            f" kills {report.kills}, differences {len(report.differences)},"
            f" green with missing data {len(report.green_with_missing_data)}"
        )


class _Sequence:
    """One sequence in progress."""

    def __init__(self, house: FaultyHouse, plan: Disturbance, report: Report) -> None:
        self._house, self._plan, self._report = house, plan, report
        self._flow: Flow = FLOWS[plan.flow]
        # A backfill leaves out complete sessions, and an older edition is complete.
        self._conf = {**self._flow.conf, **self._flow.repeat} if plan.older else dict(self._flow.conf)
        self._chance = random.Random(f"{report.seed}-{plan.number}")
        self._left: list[Fault] = list(plan.faults)
        self._kills = Kills(plan.kills)
        self._clear: Clear | None = plan.clear
        self._events: Counter[str] = Counter()
        self._latest = ""
        # A house that is opened again still has its earlier runs.
        self._run = f"s{report.seed}-{plan.number}-{time.time_ns() // 10**6}"
        self._before = Published({}, {}, {})
        self._helped = 0

    def run(self) -> None:
        """Prepare, disturb, run to the end, clear a task if none was cleared, run again, compare."""
        plan, report = self._plan, self._report
        report.sequences += 1
        self._house.prepare(self._flow, self._chance, older=plan.older, forgotten=plan.forgotten)
        self._before = self._house.published()
        found = self._disturb()
        if found is not None and self._clear is not None:
            found = self._disturb()
        if found is None or list_differences(self._house.right, found):
            found = self._run_again()
        report.add_leaks(self._house.list_leaks(LEFT_BY_A_RUN))
        differences = ["it never ended in success"] if found is None else list_differences(self._house.right, found)
        report.helped += self._helped
        if plan.bearable and self._helped:
            differences.append(f"a failed run was cleared {self._helped} times, though tries outlast its faults")
        if differences:
            report.differences += [f"sequence {plan.number} ({plan.flow}): {text}" for text in differences]
        else:
            report.survived += 1

    def _disturb(self) -> Published | None:
        """Run until success, clearing failed tasks; returns what readers see then, None without success."""
        clear = None
        for attempt in range(MOST_ATTEMPTS):
            rules = self._left if attempt < FAULTY_ATTEMPTS else []
            with self._house.faults(rules, self._report.by_kind) as left:
                state = self._run_on(clear)
            self._left = left
            found = self._house.published()
            if state == "success":
                self._judge_green(found)
                self._note(SUCCESS)
                return found
            self._judge_failed(found)
            self._note(FAILURE)
            self._helped += 1
            clear = "failed"
        return None

    def _run_on(self, clear: str | None) -> str | None:
        """Run until the run ends by itself; continue after each kill."""
        while True:
            self._report.runs += 1
            share = self._choose_share()
            ended = self._house.airflow.run(
                self._flow.dag, self._run, self._conf, clear=clear, share=share, kills=self._kills
            )
            if ended.cleared:
                _count(self._report.cleared_after, self._latest)
                self._clear = None
            if not ended.killed:
                return ended.state
            self._count_kill(ended)
            clear = None

    def _count_kill(self, ended: Ended) -> None:
        if ended.kill is None:
            raise AirflowGoneError(f"{self._run} did not end in time")
        self._kills.spend(ended.kill)
        _count(self._report.kills_by_stage, stage_of(ended.started[-1]))
        self._note(KILL)

    def _note(self, event: str) -> None:
        self._events[event] += 1
        self._latest = event

    def _choose_share(self) -> float | None:
        """Choose the task to clear now, None for none; success is the last chance."""
        clear = self._clear
        if clear is None or (not self._events[SUCCESS] and self._events[clear.after] < clear.times):
            return None
        return clear.share

    def _run_again(self) -> Published | None:
        """Run the sessions once more without faults, as an operator would in doubt."""
        self._report.runs += 1
        conf = {**self._flow.conf, **self._flow.repeat}
        ended = self._house.airflow.run(self._flow.dag, f"{self._run}-again", conf)
        return self._house.published() if ended.state == "success" else None

    def _judge_green(self, found: Published) -> None:
        """Check a successful run: readers see all data, or its sessions have a notice."""
        for day in self._flow.sessions:
            differences = list_differences(self._house.right.of(day), found.of(day))
            if not differences:
                continue
            if _says_so(found, day, _quality(self._house.right, day)):
                self._report.disclosed += 1
            else:
                self._report.green_with_missing_data += [
                    f"sequence {self._plan.number}: {day} is green: {text}" for text in differences
                ]
        others = list_differences(leave_out_flow(self._house.right, self._flow), leave_out_flow(found, self._flow))
        self._report.differences += [f"sequence {self._plan.number}: another session: {text}" for text in others]

    def _judge_failed(self, found: Published) -> None:
        """Check a failed run: each session in the warehouse is as before, or as it should be."""
        for day in self._flow.sessions:
            rows = found.of(day).rows
            if rows not in (self._before.of(day).rows, self._house.right.of(day).rows) and not _says_so(
                found, day, _quality(self._house.right, day)
            ):
                counts = {table: len(held) for table, held in rows.items()}
                self._report.differences.append(f"sequence {self._plan.number}: {day} is torn: {counts}")


def _count(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1


def _quality(published: Published, day: str) -> str | None:
    rows = published.of(day).rows["concentration_metrics"]
    # A session with two rows has no reliable quality.
    return str(name_values("concentration_metrics", rows[0])["quality"]) if len(rows) == 1 else None


def _says_so(found: Published, day: str, right: str | None) -> bool:
    """Return whether a session's own row has a lower quality than it should have."""
    quality = _quality(found, day)
    return quality in {"partial", "flagged"} and quality != right

"""The results of the checks on staged tables, and which sessions of a window may be published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from mag7.errors import Mag7Error
from mag7.paths import SQL

CHECKS = SQL / "athena" / "checks"
COLUMNS = ("trading_date", "subject", "detail")


class CheckMalformedError(Mag7Error):
    """A check's result does not have the columns that every check must return."""


@dataclass(frozen=True)
class Violation:
    """One row that a check returned; a violation without a session concerns the whole window."""

    check: str
    session: date | None
    subject: str | None
    detail: str


@dataclass(frozen=True)
class CheckResult:
    """One check's outcome on a window."""

    check: str
    violations: tuple[Violation, ...]

    @property
    def passed(self) -> bool:
        """Whether the check found nothing."""
        return not self.violations


@dataclass(frozen=True)
class Verdict:
    """The sessions that may be published, and the reasons for each that may not."""

    accepted: tuple[date, ...]
    refused: dict[date, tuple[str, ...]]


def list_checks() -> list[str]:
    """Name the checks, one SQL file each, in the order in which they run."""
    return sorted(path.stem for path in CHECKS.glob("*.sql"))


def read_violations(check: str, header: Sequence[str], rows: Iterable[Sequence[str | None]]) -> CheckResult:
    """Read a check's result rows; raises CheckMalformedError where it has other columns than every check must have."""
    if tuple(header) != COLUMNS:
        raise CheckMalformedError(
            f"check {check} returned the columns {list(header)}, not {list(COLUMNS)}: fix its SQL"
        )
    violations = [
        Violation(check, date.fromisoformat(day) if day else None, subject or None, detail or "no detail given")
        for day, subject, detail in rows
    ]
    return CheckResult(check, tuple(violations))


def judge_window(sessions: Sequence[date], results: Iterable[CheckResult]) -> Verdict:
    """Accept every session without a violation; a violation without a session refuses them all."""
    reasons: dict[date, list[str]] = {}
    for violation in (violation for result in results for violation in result.violations):
        sentence = f"{violation.detail} (check {violation.check})"
        for session in sessions if violation.session is None else [violation.session]:
            reasons.setdefault(session, []).append(sentence)
    accepted = tuple(session for session in sessions if session not in reasons)
    return Verdict(accepted, {session: tuple(found) for session, found in reasons.items()})


def tabulate_results(results: Sequence[CheckResult]) -> str:
    """Format every check's result as one plain table for the task's log."""
    width = max((len(result.check) for result in results), default=5)
    lines = [f"{'check':<{width}}  passed  violations"]
    for result in results:
        first = f"  {result.violations[0].detail}" if result.violations else ""
        lines.append(
            f"{result.check:<{width}}  {'yes' if result.passed else 'NO ':<6}  {len(result.violations):>10}{first}"
        )
    return "\n".join(lines)

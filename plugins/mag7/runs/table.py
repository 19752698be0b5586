"""The tables of a run's log: one for each session, and one with a line for each session."""

from __future__ import annotations

from mag7.market.document import Document
from mag7.runs.record import Reasons, Summary


def tabulate_session(document: Document) -> str:
    """Format a session's seven and its two concentration figures as one plain table."""
    metrics = document.concentration_metrics
    lines = [f"session {document.trading_date}, source {document.source}, quality {metrics.quality}"]
    if metrics.membership_provisional:
        lines.append(f"members provisional: confirmed through {document.facts.members_confirmed_through}")
    lines.append(f"{'':<3}{'':<7}{'market cap, USD':>26}{'of the seven':>14}{'of the index':>14}")
    for company in document.rankings.by_market_cap:
        of_index = company.pct_of_sp500
        lines.append(
            f"{company.ranking:<3}{company.ticker:<7}{company.market_cap:>26,.2f}"
            f"{company.pct_of_mag7:>12.2f} %{'not in it' if of_index is None else f'{of_index:.2f} %':>14}"
        )
    line_sum = metrics.line_sum_mag7_pct
    lines.append(f"the seven in the index, by company: {metrics.mag7_pct_of_sp500:.4f} %")
    lines.append(
        "the same by line sum, as published elsewhere (two-line companies counted twice): "
        + ("not available, a line is missing" if line_sum is None else f"{line_sum:.4f} %")
    )
    return "\n".join(lines)


def tabulate_run(summary: Summary, complete: int, refused: Reasons) -> str:
    """Format a run's sessions, one a line, with the refused ones and the seconds of each stage."""
    lines = [
        f"{len(summary.sessions)} sessions published and loaded, {complete} were complete, {len(refused)} refused;"
        f" {summary.calls} calls, {summary.bytes / 1e6:.1f} MB"
    ]
    for day, session in summary.sessions.items():
        line_sum = session["line_sum_mag7_pct"]
        lines.append(
            f"{day}  {session['mag7_pct_of_sp500']:8.4f} % by company,"
            f" {'no' if line_sum is None else f'{line_sum:8.4f} % by'} line sum, {session['companies_priced']}"
            f" companies, quality {session['quality']}, source {session['source']}"
        )
    lines += [f"{day}  refused: {'; '.join(reasons)}" for day, reasons in refused.items()]
    stages = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in summary.seconds_by_stage.items())
    return "\n".join([*lines, f"seconds of tasks by stage: {stages}"])

"""Explaining how a line's figure was worked out, from the session's document."""

from __future__ import annotations

import re
from datetime import date

from mag7.errors import Mag7Error
from mag7.market.document import Document, DocumentLine, FactsUsed

_DETAILS = re.compile(r"/ticker_details/trading_date=(\d{4}-\d{2}-\d{2})/")
ORIGINS = {
    "weighted": "the provider's weighted count, which agrees with its own market cap",
    "behind_market_cap": "the provider's market cap / close, as its weighted count disagrees with that cap",
    "weighted_without_market_cap": "the provider's weighted count, which no market cap confirms",
    "share_class": "the provider's count of the share class, the company's only one",
    "look_back": "the accepted count of an earlier session",
}


class LineUnknownError(Mag7Error):
    """A document has no line with that ticker or symbol."""


def explain_line(document: Document, name: str) -> str:
    """Explain a line, named by its ticker or its symbol of the session, in plain text.

    The text has the price, the count and its origin, applied splits, cap, flags, and the keys of the responses used.
    Raises LineUnknownError.
    """
    line = find_line(document, name)
    day = document.trading_date
    of_that_day = f", {line.symbol} on that day" if line.symbol != line.ticker else ""
    rows = [f"{line.ticker} ({line.company}{of_that_day}) on {day}, source {document.source}"]
    if line.market_cap is None or line.share_count is None:
        rows.append(f"  not priced: {_find_reason(document, line.ticker)}")
    else:
        rows += _explain_cap(line, line.share_count, find_searched(line, day))
    rows.append(f"  counted: {_describe_counted(document, line)}")
    rows.append(f"  flags: {', '.join(line.flags) or 'none'}")
    rows.append(f"  facts: {_describe_facts(document.facts, document)}")
    rows += ["  responses:", *(f"    {key}" for key in line.answers)]
    return "\n".join(rows)


def _describe_facts(facts: FactsUsed, document: Document) -> str:
    through = facts.members_confirmed_through
    provisional = document.concentration_metrics.membership_provisional
    members = f"members provisional, confirmed through {through}" if provisional else "members confirmed"
    return f"version {facts.name or facts.version} ({facts.source}), {members}"


def find_line(document: Document, name: str) -> DocumentLine:
    """Find a line by its ticker, else by its symbol of the session; raises LineUnknownError."""
    for field in ("ticker", "symbol"):
        for line in document.lines:
            if getattr(line, field) == name.strip().upper():
                return line
    raise LineUnknownError(
        f"{name} is not a line of the index on {document.trading_date}; give a ticker or symbol of the table"
        " constituent_market_caps, such as NVDA or BRK.B"
    )


def find_searched(line: DocumentLine, day: date) -> tuple[date, date] | None:
    """Find the two sessions whose equal counts gave a priced line's count; None where the count is of its own session.

    Their responses come first among the line's responses, before those about splits.
    """
    found = map(_DETAILS.search, line.answers)
    days = list(dict.fromkeys(date.fromisoformat(match[1]) for match in found if match))
    if line.share_count_origin == "look_back" or len(days) < 2 or not days[0] < day < days[1]:
        return None
    return days[0], days[1]


def _explain_cap(line: DocumentLine, count: int, searched: tuple[date, date] | None) -> list[str]:
    factor = line.split_factor or 1.0
    origin = ORIGINS.get(str(line.share_count_origin), str(line.share_count_origin))
    if searched:
        origin = f"searched: the same count on {searched[0]} and {searched[1]}, on both {origin}"
    rows = [f"  close: {line.close:,} USD as traded", f"  share count: {count:,}: {origin}"]
    rows += [
        f"  split applied: the provider's count already included {split.split_to:g} for {split.split_from:g}"
        f" of {split.execution_date} ({split.source})"
        for split in line.splits_applied
    ]
    if factor > 1.0 or (factor < 1.0 and line.splits_applied):
        rows.append(f"  provider's count: about {count * factor:,.0f}, divided by {factor:g}")
    elif factor != 1.0:
        rows.append(
            f"  provider's count: about {count * factor:,.0f}, from before a split: multiplied by {1 / factor:g}"
        )
    rows.append(f"  market cap: {line.market_cap:,.2f} USD")
    provider_cap, missing = line.provider_market_cap, "not requested for this session" if searched else "not given"
    rows.append(f"  provider's market cap: {missing if provider_cap is None else f'{provider_cap:,.2f} USD'}")
    return rows


def _find_reason(document: Document, ticker: str) -> str:
    failed = document.sp500_details.failed_tickers
    return next((item.reason for item in failed if item.ticker == ticker), "no reason is recorded")


def _describe_counted(document: Document, line: DocumentLine) -> str:
    if line.counted:
        return "yes, its cap is its company's cap"
    if any(line is other for other in document.seven_outside):
        return "no, it is not in the index on that session"
    if not line.main_line:
        return "no, another line represents its company"
    return "no"

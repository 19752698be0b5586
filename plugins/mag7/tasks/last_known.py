"""The last published market cap of companies without any usable count, for coverage only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Final

from mag7.index.splits import SplitTable
from mag7.lake.keys import document_key, document_month_prefix
from mag7.lake.objects import ObjectStore
from mag7.market.caps import FailedLine, price_line
from mag7.market.document import Document
from mag7.market.inputs import LastKnownCap, LineInputs
from mag7.sessions import list_sessions, next_session, previous_session
from mag7.tasks.published import read_published

SESSIONS_AWAY: Final = 63
"""How many sessions away a published document may be to give a company's cap: about three months."""


def add_last_known(
    store: ObjectStore, session: date, inputs: Sequence[LineInputs], splits: SplitTable
) -> list[LineInputs]:
    """Return the inputs with the last published cap of each company that has no other figure.

    It comes from the newest document published before the session, else from the oldest one after it. Each document
    passes on what the one before it knew.
    """
    unknown = [item for item in inputs if _is_unknown(item)]
    if not unknown:
        return list(inputs)
    document = _read_nearest(store, session, {answer.source for item in inputs for answer in item.answers})
    if document is None:
        return list(inputs)
    found = {item.line.ticker: _find_cap(document, session, item, splits) for item in unknown}
    return [replace(item, last_known=found.get(item.line.ticker)) for item in inputs]


def _is_unknown(inputs: LineInputs) -> bool:
    if not inputs.line.main_line or inputs.look_back is not None or inputs.yesterday is not None:
        return False
    return isinstance(price_line(inputs), FailedLine)


def _read_nearest(store: ObjectStore, session: date, sources: set[str]) -> Document | None:
    """Read the newest published document of one of the sources before the session, else the oldest one after it."""
    before = list_sessions(previous_session(session, SESSIONS_AWAY), previous_session(session))
    after = list_sessions(next_session(session), next_session(session, SESSIONS_AWAY))
    prefixes = {document_month_prefix(day) for day in (*before, *after)}
    stored = {entry.key for prefix in sorted(prefixes) for entry in store.list(prefix)}
    for day in (*reversed(before), *after):
        document = read_published(store, day) if document_key(day) in stored else None
        if document is not None and document.source in sources:
            return document
    return None


def _find_cap(document: Document, session: date, inputs: LineInputs, splits: SplitTable) -> LastKnownCap | None:
    line, day = inputs.line, document.trading_date
    published = next((item for item in document.constituents if item.ticker == line.ticker), None)
    if published is not None and published.market_cap is not None and published.share_count is not None:
        if inputs.bar is None:
            return LastKnownCap(Decimal(str(published.market_cap)), f"published cap of {day}")
        count = published.share_count * splits.factor_between(line.issuer, day, session)
        count /= splits.factor_between(line.issuer, session, day)
        return LastKnownCap(inputs.bar.close * round(count), f"close x published share count of {day}")
    assumed = next((item for item in document.coverage.unpriced if item.issuer == line.issuer), None)
    if assumed is None or assumed.assumed_market_cap is None or assumed.basis == "mean":
        return None
    return LastKnownCap(Decimal(str(assumed.assumed_market_cap)), assumed.basis)

"""A test's stored responses in dictionaries, and what is read from them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

from mag7.index.constituents import Line, list_lines
from mag7.market.caps import PricedLine, price_line
from mag7.market.input_reader import open_inputs
from mag7.market.inputs import LineInputs, LookBack
from mag7.polygon.answers import Answer
from mag7.sessions import month_ends

DAY, YESTERDAY = date(2024, 12, 13), date(2024, 12, 12)

LOOK_BACK_DAYS = (YESTERDAY, date(2024, 12, 6), date(2024, 11, 13), date(2024, 9, 16))

APPLE, MICROSOFT, OTHER = "0000320193", "0000789019", "0000000007"


class Book:
    """Stored responses in dictionaries, and a record of look-ups."""

    version = 0

    def __init__(self) -> None:
        self.answers: dict[tuple[str, date], Answer] = {}
        self.bars: dict[date, Answer] = {}
        self.pages: dict[date, list[Answer]] = {}
        self.looked_up: list[tuple[str, date]] = []

    def details(self, symbol: str, day: date) -> Answer | None:
        self.looked_up.append((symbol, day))
        return self.answers.get((symbol, day))

    def grouped(self, day: date) -> Answer | None:
        self.looked_up.append(("bars", day))
        return self.bars.get(day)

    def splits(self, session: date) -> list[Answer] | None:
        self.looked_up.append(("splits", session))
        return self.pages.get(session)

    def keep_splits(self, session: date = DAY, *rows: dict[str, Any]) -> None:
        body = json.dumps({"status": "OK", "results": rows})
        self.pages[session] = [make_answer(f"splits-{session}", body=body)]

    def keep_details(self, symbol: str, day: date = DAY, source: str = "polygon", **fields: Any) -> None:
        body = json.dumps({"status": "OK", "results": {"ticker": symbol, **fields}})
        self.keep(symbol, day, body=body, source=source)

    def keep(self, symbol: str, day: date, **changes: Any) -> None:
        self.answers[symbol, day] = make_answer(f"details-{symbol}-{day}", **changes)

    def keep_bars(self, day: date = DAY, source: str = "polygon", **closes: float) -> None:
        stamp = int(datetime(day.year, day.month, day.day, 21, tzinfo=UTC).timestamp() * 1000)
        bars = [{"T": name, "o": c, "h": c, "l": c, "c": c, "v": 1, "t": stamp} for name, c in closes.items()]
        body = json.dumps({"status": "OK", "adjusted": False, "resultsCount": len(bars), "results": bars})
        self.bars[day] = make_answer(f"bars-{day}", body=body, source=source)


TOLD_AT = datetime(2024, 12, 14, tzinfo=UTC)


def make_answer(
    key: str,
    *,
    status: int | None = 200,
    body: str = "",
    error: str | None = None,
    source: str = "polygon",
    time: datetime = TOLD_AT,
) -> Answer:
    return Answer(key, time, status, source, body, error, key)


def read(book: Book, line: Line, day: date = DAY) -> LineInputs:
    return open_inputs(book).read_line(day, line)


def keys_of(found: LineInputs | LookBack) -> list[str | None]:
    return [answer.key for answer in found.answers]


def count_of(inputs: LineInputs) -> int:
    priced = price_line(inputs)
    assert isinstance(priced, PricedLine), priced
    return priced.accepted.count


CINTAS_SPLIT = {"ticker": "CTAS", "execution_date": "2024-09-12", "split_from": 1, "split_to": 4}

EVE, AFTER, BEFORE = date(2024, 9, 11), date(2024, 12, 20), date(2024, 6, 4)
"""The session before Cintas split 4 for 1, and those nearest to 100 days after and before: 2024-12-21 is a Saturday."""


def member(ticker: str, session: date = EVE) -> Line:
    return next(line for line in list_lines(session) if line.ticker == ticker)


def keep_cintas(book: Book, count: int, session: date = EVE, close: int = 820) -> None:
    """Cintas at 820 dollars with a count, and the list of splits as requested with the session."""
    book.keep_bars(session, CTAS=close)
    book.keep_details("CTAS", session, cik="0000723254", weighted_shares_outstanding=count, market_cap=count * close)
    book.keep_splits(session, CINTAS_SPLIT)


GE_SPIN_OFF = {"ticker": "GE", "execution_date": "2023-01-04", "split_from": 1000, "split_to": 1281}

FIRST_END, LAST_END = month_ends(DAY)
"""The ends of the search of December 2024: the last sessions of November and December."""


def keep_told(book: Book, day: date, count: int | None, symbol: str = "AAA", **fields: Any) -> None:
    """A close of 10 and details that agree with it; None: details without a count."""
    book.keep_bars(day, fields.get("source", "polygon"), **{symbol: 10})
    counted = {} if count is None else {"weighted_shares_outstanding": count, "market_cap": count * 10}
    book.keep_details(symbol, day, **{**counted, **fields})

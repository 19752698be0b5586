"""Build include/data/index_membership.csv from membership intervals, a list of constituents and fund holdings.

    python -m mag7.index.build_membership --holdings FILE --constituents FILE --intervals FILE

``--intervals``     ticker,start_date,end_date (the end is the first day out): the base of every date
``--constituents``  Symbol,Security,GICS Sector,...,Date added,CIK: names, sectors, CIKs, and a check of the dates
``--holdings``      an iShares holdings file: sectors of lines that the constituents lack, which names speak of share
                    classes, and a check of its day

What the sources lack or contradict stands in include/data: line_facts.csv (names, later symbols, second lines),
membership_corrections.csv (dates on which they disagree, with the choice) and symbol_history.csv (renames).
The command refuses to write a table whose lines on the day of the holdings are not those of the holdings.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from mag7.errors import Mag7Error, one_line
from mag7.index.holdings import Holdings, read_holdings
from mag7.index.membership import (
    MEMBERSHIP,
    MEMBERSHIP_COLUMNS,
    SPAN,
    SPAN_COLUMNS,
    Membership,
    ShareClasses,
    parse_share_classes,
    read_membership,
)
from mag7.index.symbols import load_symbols
from mag7.index.tables import Row, read_rows
from mag7.paths import DATA
from mag7.sessions import get_session, is_session, previous_session

FIRST_SESSION: Final = date(2020, 11, 30)
UNKNOWN_SECTOR: Final = "Unknown"
INTERVAL_COLUMNS: Final = ("ticker", "start_date", "end_date")
CORRECTION_COLUMNS: Final = ("ticker", "edge", "stated", "chosen", "why")
FACT_COLUMNS: Final = ("ticker", "company", "listed_as", "second_line_of", "share_classes", "why")
CONSTITUENT_COLUMNS: Final = frozenset({"Symbol", "Security", "GICS Sector", "Date added", "CIK"})
SHARE_CLASS: Final = re.compile(r" \(Class [A-Z]\)$")
CLASS_IN_NAME: Final = re.compile(r"\b(CLASS?|CL|SERIES|VOTING)\b")
WHOLE_NAME: Final = 32
"""The fund cuts names at 34 letters, and a space at the cut is lost: of a longer name the class may be cut off."""


class SourceInvalidError(Mag7Error):
    """A source of the membership table is not of its form, or contradicts another one without a recorded choice."""


@dataclass(frozen=True)
class Interval:
    """A stay in the index as the intervals tell it: ``until`` is the first day out, None while it lasts."""

    ticker: str
    start: date
    until: date | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Constituent:
    """A row of the list of constituents."""

    symbol: str
    company: str
    sector: str
    added: date
    cik: str


@dataclass(frozen=True)
class LineFacts:
    """What our own table says of a line that the constituents do not name as such."""

    company: str
    listed_as: str
    second_line_of: str
    why: str
    share_classes: ShareClasses | None = None


def read_intervals(path: Path) -> tuple[Interval, ...]:
    """Read the stays that touch FIRST_SESSION or later; raises FactTableInvalidError for one without a day."""
    stays = (_read_interval(row) for row in read_rows(path, INTERVAL_COLUMNS))
    return tuple(stay for stay in stays if stay.until is None or stay.until > FIRST_SESSION)


def _read_interval(row: Row) -> Interval:
    stay = Interval(row.text("ticker"), row.day("start_date"), row.optional_day("end_date"))
    if stay.until is not None and stay.until <= stay.start:
        raise row.refuse(f"ends on {stay.until}, but must end after it starts on {stay.start}")
    return stay


def read_constituents(path: Path) -> Mapping[str, Constituent]:
    """Read the list of constituents by symbol.

    Raises SourceInvalidError, which names the line, where columns or values are missing or a symbol stands twice.
    """
    found: dict[str, Constituent] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            missing = CONSTITUENT_COLUMNS - set(reader.fieldnames or ())
            if missing:
                raise SourceInvalidError(f"{path.name} lacks the columns {', '.join(sorted(missing))}")
            for row in reader:
                constituent = _parse_constituent(row, f"{path.name} line {reader.line_num}")
                if found.setdefault(constituent.symbol, constituent) is not constituent:
                    place = f"{path.name} line {reader.line_num}"
                    raise SourceInvalidError(f"{place}: {constituent.symbol} stands there twice")
    except (UnicodeDecodeError, csv.Error) as wrong:
        raise SourceInvalidError(f"{path.name} is no comma-separated text in UTF-8 ({wrong})") from wrong
    return found


def _parse_constituent(row: Mapping[str | None, str | list[str] | None], place: str) -> Constituent:
    values = {name: str(row[name] or "") for name in CONSTITUENT_COLUMNS}
    cik = values["CIK"]
    fault = None
    if None in row or None in row.values() or not values["Symbol"]:
        fault = "a value is missing, or there are more values than columns"
    elif not (cik.isascii() and cik.isdigit() and len(cik) <= 10):
        fault = f"the CIK {one_line(cik)!r} has not up to 10 digits"
    try:
        added = date.fromisoformat(values["Date added"])
    except ValueError as wrong:
        fault = fault or one_line(str(wrong))
    if fault:
        raise SourceInvalidError(f"{place}: {fault}")
    return Constituent(
        symbol=values["Symbol"],
        company=SHARE_CLASS.sub("", values["Security"]),
        sector=values["GICS Sector"],
        added=added,
        cik=cik.zfill(10),
    )


def read_line_facts(path: Path) -> Mapping[str, LineFacts]:
    """Read our own facts about lines, by ticker.

    Raises FactTableInvalidError for share classes of another name, and a second row of one ticker.
    """
    found: dict[str, LineFacts] = {}
    for row in read_rows(path, FACT_COLUMNS):
        facts = _parse_facts(row)
        if found.setdefault(row.text("ticker"), facts) is not facts:
            raise row.refuse("a second row of this ticker")
    return found


def _parse_facts(row: Row) -> LineFacts:
    classes = row.values["share_classes"]
    return LineFacts(
        company=row.values["company"],
        listed_as=row.values["listed_as"],
        second_line_of=row.values["second_line_of"],
        why=row.text("why"),
        share_classes=parse_share_classes(row) if classes else None,
    )


def correct_intervals(stays: Iterable[Interval], corrections: Iterable[Row]) -> tuple[Interval, ...]:
    """Apply the recorded choices; raises FactTableInvalidError where one does not meet the stay that it corrects."""
    result = list(stays)
    for row in corrections:
        ticker, edge, stated, chosen = row.text("ticker"), row.text("edge"), row.day("stated"), row.day("chosen")
        dates = [(stay.start if edge == "from" else stay.until) for stay in result if stay.ticker == ticker]
        if edge not in {"from", "until"} or stated not in dates:
            raise row.refuse(f"corrects no stay: the intervals of {ticker} have {[str(day) for day in dates]}")
        place = next(i for i, stay in enumerate(result) if stay.ticker == ticker and stated in {stay.start, stay.until})
        stay, notes = result[place], (row.text("why"),)
        if edge == "from":
            result[place] = Interval(ticker, chosen, stay.until, stay.notes + notes)
        else:
            result[place] = Interval(ticker, stay.start, chosen, stay.notes + notes)
    return tuple(result)


def join_renames(stays: Iterable[Interval], earlier_symbols: Mapping[str, str]) -> tuple[Interval, ...]:
    """Join the stays of a line under its earlier and its newest symbol.

    ``earlier_symbols`` maps an earlier symbol to the ticker of its line. A stay that begins on the day on which
    the stay under the earlier symbol ends continues it.
    """
    result: dict[str, list[Interval]] = {}
    for stay in sorted(stays, key=lambda stay: stay.start):
        ticker = earlier_symbols.get(stay.ticker, stay.ticker)
        earlier = result.setdefault(ticker, [])
        if earlier and earlier[-1].until == stay.start:
            before = earlier.pop()
            earlier.append(Interval(ticker, before.start, stay.until, before.notes + stay.notes))
        else:
            earlier.append(Interval(ticker, stay.start, stay.until, stay.notes))
    return tuple(stay for ticker in sorted(result) for stay in result[ticker])


def find_span(stays: Iterable[Interval], constituents: Iterable[Constituent]) -> tuple[date, date]:
    """Find the sessions that the intervals cover: up to the one before the first joining that they do not know."""
    newest = max(day for stay in stays for day in (stay.start, stay.until) if day is not None)
    unknown = min((row.added for row in constituents if row.added > newest), default=None)
    return FIRST_SESSION, previous_session(unknown) if unknown else newest


class LineDescriber:
    """Who the company behind a line is: from the constituents, our own facts and the holdings."""

    def __init__(
        self, constituents: Mapping[str, Constituent], facts: Mapping[str, LineFacts], holdings: Holdings
    ) -> None:
        self._constituents = constituents
        self._facts = facts
        self._sectors = {line.symbol: line.sector for line in holdings.lines}
        self._names = {line.symbol: line.name for line in holdings.lines}
        second_lines = {ticker: fact.second_line_of for ticker, fact in facts.items() if fact.second_line_of}
        self._in_two_lines = {*second_lines, *second_lines.values()}

    def describe(self, stay: Interval) -> Membership:
        """Return a stay with its company; raises SourceInvalidError where no source names the company."""
        facts = self._facts.get(stay.ticker, LineFacts("", "", "", ""))
        main = facts.second_line_of or stay.ticker
        main_facts = self._facts.get(main, LineFacts("", "", "", ""))
        listed = self._constituents.get(main_facts.listed_as or main)
        company = listed.company if listed else main_facts.company
        if not company:
            raise SourceInvalidError(f"no source names the company of {main}; add it to line_facts.csv")
        cik = listed.cik if listed else None
        notes = stay.notes + ((facts.why,) if facts.listed_as or facts.second_line_of or facts.share_classes else ())
        return Membership(
            ticker=stay.ticker,
            company=company,
            issuer=cik or issuer_key(company),
            cik=cik,
            sector=listed.sector if listed else self._sectors.get(main, UNKNOWN_SECTOR),
            main_line=not facts.second_line_of,
            share_classes=self._count_classes(stay.ticker, facts),
            member_from=stay.start,
            member_to=previous_session(stay.until) if stay.until else None,
            note="; ".join(notes),
        )

    def _count_classes(self, ticker: str, facts: LineFacts) -> ShareClasses:
        if ticker in self._in_two_lines:
            return ShareClasses.SEVERAL
        if facts.share_classes:
            return facts.share_classes
        return read_share_classes(self._names.get(ticker))


def read_share_classes(name: str | None) -> ShareClasses:
    """Read from the fund's name of a line whether its company has one share class; None where the fund has no line."""
    if name is None:
        return ShareClasses.UNKNOWN
    if CLASS_IN_NAME.search(name.upper()):
        return ShareClasses.SEVERAL
    return ShareClasses.ONE if len(name) <= WHOLE_NAME else ShareClasses.UNKNOWN


def issuer_key(company: str) -> str:
    """Make the key of a company for whose CIK no source is at hand: X- and the company's name in plain letters."""
    plain = re.sub(r"[^a-z0-9]+", "-", company.lower().replace("'", ""))
    return f"X-{plain.strip('-')}"


def check_dates(
    stays: Iterable[Interval],
    renamed: Iterable[Interval],
    constituents: Mapping[str, Constituent],
    chosen: Iterable[str],
) -> None:
    """Refuse a joining since FIRST_SESSION that constituents and intervals date differently without a choice.

    ``stays`` are those of lines, ``renamed`` those of symbols: the constituents date some renamed lines from the
    rename on (WBD) and others from the joining under the first symbol (META).
    """
    settled = set(chosen)
    by_symbol = {(stay.ticker, stay.start) for stay in renamed}
    for stay in stays:
        row = constituents.get(stay.ticker)
        if row is None or stay.until is not None or stay.ticker in settled:
            continue
        agree = row.added == stay.start or (stay.ticker, row.added) in by_symbol
        if not agree and max(row.added, stay.start) >= FIRST_SESSION:
            raise SourceInvalidError(
                f"{stay.ticker} joined on {stay.start} by the intervals, on {row.added} by the constituents; "
                "record the choice in membership_corrections.csv, or the rename in symbol_history.csv"
            )


def check_holdings(members: Iterable[Membership], holdings: Holdings) -> None:
    """Refuse a table whose lines on the day of the holdings are not the lines that the fund held."""
    held = {line.symbol for line in holdings.lines}
    in_table = {member.ticker for member in members if member.covers(holdings.as_of)}
    if held != in_table:
        raise SourceInvalidError(
            f"on {holdings.as_of} the fund held {sorted(held - in_table)} that the table lacks, and the table has "
            f"{sorted(in_table - held)} that the fund did not hold; correct the intervals in membership_corrections.csv"
        )


def check_sessions(members: Iterable[Membership]) -> None:
    """Refuse a stay since FIRST_SESSION that begins on a day that is no session."""
    for member in members:
        if member.member_from >= FIRST_SESSION and not is_session(member.member_from):
            raise SourceInvalidError(f"{member.ticker} cannot have joined then: {get_session(member.member_from)}")


def build(
    holdings: Holdings, constituents: Mapping[str, Constituent], intervals: Sequence[Interval]
) -> tuple[Membership, ...]:
    """Build the stays of every line, checked against the sources; dates on which they disagree follow our choices."""
    corrections = read_rows(DATA / "membership_corrections.csv", CORRECTION_COLUMNS)
    earlier = {period.symbol: ticker for ticker, periods in load_symbols().items() for period in periods}
    corrected = correct_intervals(intervals, corrections)
    stays = join_renames(corrected, earlier)
    check_dates(stays, corrected, constituents, (row.text("ticker") for row in corrections))
    describer = LineDescriber(constituents, read_line_facts(DATA / "line_facts.csv"), holdings)
    members = tuple(describer.describe(stay) for stay in stays)
    check_sessions(members)
    check_holdings(members, holdings)
    return members


def write_membership(folder: Path, members: Iterable[Membership], span: tuple[date, date], source: str) -> None:
    """Write the table and its span, and read them back with every check of the loader."""
    rows = (
        [
            member.ticker,
            member.company,
            member.issuer,
            member.cik or "",
            member.sector,
            str(member.main_line).lower(),
            member.share_classes.value,
            member.member_from,
            member.member_to or "",
            member.note,
        ]
        for member in members
    )
    _write(folder / MEMBERSHIP.name, MEMBERSHIP_COLUMNS, rows)
    _write(folder / SPAN.name, SPAN_COLUMNS, [[*span, source]])
    read_membership(folder / MEMBERSHIP.name, folder / SPAN.name)


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m mag7.index.build_membership", description="Build the index membership table."
    )
    parser.add_argument("--holdings", type=Path, required=True, help="iShares holdings file")
    parser.add_argument("--constituents", type=Path, required=True, help="list of constituents with CIK and date added")
    parser.add_argument("--intervals", type=Path, required=True, help="ticker,start_date,end_date")
    parser.add_argument("--output", type=Path, default=DATA, help="folder to write to (default: include/data)")
    parser.add_argument("--as-of", type=date.fromisoformat, help="day of the holdings, where the file names none")
    given = parser.parse_args(arguments)
    try:
        constituents = read_constituents(given.constituents)
        intervals = read_intervals(given.intervals)
        members = build(read_holdings(given.holdings, as_of=given.as_of), constituents, intervals)
        span = find_span(intervals, constituents.values())
        write_membership(given.output, members, span, f"{given.intervals.name}, {given.constituents.name}")
    except Mag7Error as refused:
        print(f"refused: {refused}", file=sys.stderr)
        return 1
    print(f"{len(members)} stays, {span[0]} to {span[1]}, written to {given.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What the kept answers say of each line on a session: its details, its bar, and earlier sessions where needed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from mag7.index.constituents import Line, main_ticker
from mag7.index.seven import seven_issuers
from mag7.index.share_counts import find_reference
from mag7.index.splits import Split, SplitTable
from mag7.index.symbols import symbol_on
from mag7.market.caps import FailedLine, LineInputs, LookBack, PricedLine, price_line
from mag7.market.identity import has_own_identifier
from mag7.market.jump_reader import JumpReader
from mag7.market.jumps import is_continuous
from mag7.market.lasting import LASTING_SESSIONS, find_lasting_count_jump, find_lasting_price_jump
from mag7.market.listed_split_reader import ListedSplitReader
from mag7.market.response_reader import LOOK_BACK_SESSIONS, ResponseReader, StoredResponses
from mag7.market.shares import (
    AcceptedCount,
    CountUnavailableError,
    CountWrongError,
    accept_count,
    needs_previous_close,
    rough_count,
)
from mag7.market.split_basis import (
    CLOSE_TOLERANCE,
    LATE_DAYS,
    PROBE_DAYS,
    SplitBasisInputs,
    SplitCounts,
    fits,
    gap,
    list_relevant_splits,
    probe_sessions,
    settle_split_basis,
)
from mag7.polygon.answers import Answer
from mag7.polygon.bodies import (
    TickerDetails,
)
from mag7.sessions import list_sessions, month_ends, previous_session

LEAVING_SESSIONS = 10
"""A line that was bought has no bar on the last sessions of its stay in the index: never on more than these."""

MONTHS_KEPT = 2048
"""How many lines' months a reader holds on to."""


@dataclass(frozen=True)
class Observation:
    """What the provider said of a line's count on a session: the accepted one, on the split basis that it came on.

    None where its answer holds no count that can be accepted. ``time`` (UTC) is when it said so; ``answers`` are that
    one and the closes that it was held against.
    """

    session: date
    time: datetime
    accepted: AcceptedCount | None
    details: TickerDetails | None
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class CountRules:
    """What is known of the provider's counts: those of sessions before ``frozen_before`` are of about that date."""

    frozen_before: date = date(2021, 11, 1)


DEFAULT_RULES = CountRules()


class InputReader:
    """Reads lines' evidence from kept answers, parsing each answer once.

    ``closes`` (USD, by session and symbol) are taken as given instead of being read from the answers again.
    """

    def __init__(
        self,
        answers: StoredResponses,
        rules: CountRules = DEFAULT_RULES,
        closes: Mapping[date, Mapping[str, Decimal]] | None = None,
    ) -> None:
        self._answers = answers
        self._rules = rules
        kept = self._kept = ResponseReader(answers, closes or {}, self.splits)
        self.listed = ListedSplitReader(
            answers, kept.list_splits, kept.read_close, kept.read_count, rules.frozen_before
        )
        self.jumps = JumpReader(self.splits, lambda day: kept.closes(day)[0], kept.read_close, kept.read_count)
        self._tell_month = lru_cache(maxsize=MONTHS_KEPT)(self._list_told)

    def read_lines(self, session: date, lines: Iterable[Line]) -> list[LineInputs]:
        """Read the evidence of every line; earlier sessions are searched for lines that cannot be priced without."""
        return [self.read_line(session, line) for line in lines]

    def read_line(self, session: date, line: Line) -> LineInputs:
        """Read one line's evidence for a session, with that of an earlier session where its own does not suffice."""
        own = self.read_own(session, line)
        yesterday = self.look_back(session, line, 1)
        if isinstance(yesterday, LookBack) and _list_sources(own.answers) >= _list_sources(yesterday.answers):
            own = replace(own, yesterday=yesterday)
        priced = price_line(own)
        if own.yesterday is not None and (isinstance(priced, FailedLine) or own.price_jumps):
            own = self._read_jump(session, line, own)
            priced = price_line(own)
        if isinstance(priced, PricedLine):
            return self._read_lasting(session, priced)
        failures = []
        for sessions_back in LOOK_BACK_SESSIONS:
            found = self.look_back(session, line, sessions_back)
            if isinstance(found, LookBack):
                return replace(own, look_back=found, answers=_join(own.answers, found.answers))
            failures.append(found)
        return replace(own, look_back_failure=f"no earlier session helps: {'; '.join(failures)}")

    def _read_jump(self, session: date, line: Line, own: LineInputs) -> LineInputs:
        """Read what tells of a close or a count that jumps since the session before."""
        if own.price_jumps:
            earlier = self.look_back(session, line, 2)
            if isinstance(earlier, LookBack):
                skipped = replace(own, yesterday=earlier, odd_close_before=True)
                if not skipped.price_jumps:
                    return replace(skipped, answers=_join(own.answers, earlier.answers))
        later, answers = self.jumps.read_later(session, line)
        known = self.jumps.knows_no_split(session, line)
        return replace(own, later=later, nothing_split=known, answers=_join(own.answers, answers))

    def _read_lasting(self, session: date, priced: PricedLine) -> LineInputs:
        """Read whether a jump of the weeks before, which nothing explained, lasts: a cap that moved far has one."""
        own, line, day = priced.evidence, priced.line, previous_session(session, LASTING_SESSIONS)
        if day < self._rules.frozen_before:
            return own
        (count, told), (close, closed) = self._kept.read_count(line, day), self._kept.read_close(line, day)
        sources = _list_sources(own.answers)
        if count is None or close is None or not sources >= _list_sources(filter(None, (told, closed))):
            return own
        if is_continuous(Fraction(priced.market_cap) / (count * Fraction(close))):
            return own
        backs = [self.look_back(session, line, LASTING_SESSIONS + more) for more in (0, 1)]
        known = [back for back in backs if isinstance(back, LookBack) and sources >= _list_sources(back.answers)]
        lasting = find_lasting_count_jump(session, priced, known) or find_lasting_price_jump(
            self.jumps.list_steps(session, line, LASTING_SESSIONS + 2),
            lambda other: self._kept.read_count(line, other)[0],
            one_of_seven=line.issuer in seven_issuers(),
        )
        if lasting is None:
            return own
        answers = _join(own.answers, *(back.answers for back in known))
        return replace(own, lasting=lasting, look_back=next(iter(known), None), answers=answers)

    def read_own(self, session: date, line: Line) -> LineInputs:
        """Read what a session's own answers say of a line, and the close before where market_cap may rest on it.

        Where the line's details were not asked for on the session, but on others around it, which agree, those do.
        """
        grouped, grouped_failure, bars_answer = self._kept.bars(session)
        details, details_failure, details_answer = self._kept.details(line, line.symbol, session)
        bar = grouped.bars.get(line.symbol)
        bar_failure = grouped_failure or grouped.unusable.get(line.symbol)
        answers = [bars_answer, details_answer]
        previous_close, told_at = None, None if details_answer is None else details_answer.time
        between = self.find_between(line, session) if details_answer is None else None
        if between is not None:
            details, details_failure, told_at = between.details, None, between.time
            answers += between.answers
        elif details is not None and bar is not None:
            previous_close, earlier_answer = self._read_previous_close(line, session, details, bar.close)
            answers.append(earlier_answer)
        basis, basis_answers = self._read_basis(session, session, line, told_at)
        return LineInputs(
            line,
            details,
            details_failure,
            bar,
            bar_failure,
            previous_close=previous_close,
            answers=_join(answers, basis_answers),
            basis=basis,
            between=None if between is None else between.accepted,
            frozen=session < self._rules.frozen_before,
            issuer_unconfirmed=details is not None and not has_own_identifier(line, details),
            stopped_trading=bar is None and bar_failure is None and _is_leaving(line, session),
        )

    def look_back(self, session: date, line: Line, sessions_back: int) -> LookBack | str:
        """Take a line's count from the session that many sessions before, or say why it has none."""
        day = previous_session(session, sessions_back)
        symbol = symbol_on(line.ticker, day)
        closes, failure, bars_answer = self._kept.closes(day)
        if failure is not None:
            return failure
        if symbol not in closes:
            return self._kept.bars(day)[0].unusable.get(symbol, f"no bar for {symbol} on {day}")
        asked = self._answers.details(symbol, day) is not None
        told = self.tell(line, day) if asked else self.find_between(line, day)
        if told is None or told.details is None:
            return self._kept.details(line, symbol, day)[1] or f"no ticker details for {symbol} on {day}"
        basis, basis_answers = self._read_basis(session, day, line, told.time)
        try:
            # Accepted again for the reason: where nothing can be accepted, it says why.
            own = told.accepted or self._accept(line, day, told.details)[0]
            accepted = settle_split_basis(own, basis)
        except (CountUnavailableError, CountWrongError) as unusable:
            return f"{day}: {unusable}"
        return LookBack(
            day,
            accepted.count,
            closes[symbol],
            _join((bars_answer,), told.answers, basis_answers),
            factor=self.splits(session).factor_between(line.issuer, day, session),
            frozen=day < self._rules.frozen_before,
        )

    def tell(self, line: Line, day: date) -> Observation | None:
        """Read what the provider said of a line's count on a session; None where it was not asked, or did not say."""
        details, _, answer = self._kept.details(line, symbol_on(line.ticker, day), day)
        if answer is None or not answer.completed:
            return None
        if details is None:
            return Observation(day, answer.time, None, None, (answer,))
        try:
            accepted, answers = self._accept(line, day, details)
        except CountUnavailableError:
            return Observation(day, answer.time, None, details, (answer,))
        return Observation(day, answer.time, accepted, details, _join((answer,), answers))

    def find_between(self, line: Line, day: date) -> Observation | None:
        """Find a line's count of a session between the sessions nearest to it on which the provider was asked.

        None unless both lie between the last session of the month before and that of its month, and agree. It then
        says what the earlier one does.
        """
        told = self._tell_month(line, *month_ends(day), self._answers.version)
        place = bisect_left(told, day, key=lambda other: other.session)
        earlier = told[place - 1] if place > 0 else None
        later = next((other for other in told[place : place + 2] if other.session > day), None)
        if earlier is None or later is None or not agree(earlier, later):
            return None
        time = max(earlier.time, later.time)
        return replace(earlier, time=time, answers=_join(earlier.answers, later.answers))

    def _list_told(self, line: Line, first: date, last: date, _version: int) -> tuple[Observation, ...]:
        """List what was said of a line from one session to another, in order; the answers being of a version."""
        return tuple(told for day in list_sessions(first, last) if (told := self.tell(line, day)) is not None)

    def list_likely(self, session: date, line: Line, days: Sequence[date]) -> frozenset[date]:
        """List those of some sessions, in order, on both sides of a day on which a line's count is likely to change.

        ``session`` is one by which splits are known.
        """
        changes = [self._rules.frozen_before, *(split.execution_date for split in self.splits(session).of(line.issuer))]
        places = [bisect_left(days, change) for change in changes]
        return frozenset(day for place in places if 0 < place < len(days) for day in days[place - 1 : place + 1])

    def _accept(self, line: Line, day: date, details: TickerDetails) -> tuple[AcceptedCount, tuple[Answer, ...]]:
        """Accept the count of a session's own details; raises CountUnavailableError, also where it has no close."""
        closes, failure, answer = self._kept.closes(day)
        close = closes.get(symbol_on(line.ticker, day))
        if close is None:
            raise CountUnavailableError(failure or f"no bar for {details.ticker} on {day}")
        previous_close, earlier = self._read_previous_close(line, day, details, close)
        return accept_count(line, details, close, previous_close), _join((answer, earlier))

    def list_probes(self, session: date, lines: Iterable[Line], earliest: date) -> list[tuple[Line, date, date]]:
        """List the probes that tell on which basis counts of a session, and of those back to ``earliest``, stand.

        A probe is a line, and the days after and before a split of its company: the second is needed where the first
        has no usable answer (``probe_answered``). Each company's probes are listed once.
        """
        table = self.splits(session)
        companies = {line.issuer: line for line in lines}
        return [
            (line, *probe_sessions(table, split))
            for issuer, line in companies.items()
            for split in list_relevant_splits(table, issuer, earliest)
        ]

    def probe_answered(self, line: Line, day: date) -> bool:
        """Whether a company's count on a day is among the kept answers."""
        return self._probe(line, day)[0] is not None

    def _read_previous_close(
        self, line: Line, session: date, details: TickerDetails, close: Decimal
    ) -> tuple[Decimal | None, Answer | None]:
        """Read the close before a session where market_cap disagrees with its own: in the evening it may rest on it."""
        if not needs_previous_close(details, close):
            return None, None
        day = previous_session(session)
        closes, _, answer = self._kept.closes(day)
        previous = closes.get(symbol_on(line.ticker, day))
        return (None, None) if previous is None else (previous, answer)

    def _read_basis(
        self, session: date, day: date, line: Line, told: datetime | None
    ) -> tuple[SplitBasisInputs, list[Answer]]:
        """Read what tells on which basis a line's count of a day stands, by the splits known with a session.

        What was ``told`` long before a split cannot stand on it: such a split is left out.
        """
        first = day - timedelta(days=PROBE_DAYS)
        judged = self.listed.judge(session)
        table = judged.table
        answers: list[Answer] = []
        splits = []
        for split in list_relevant_splits(table, line.issuer, day, LATE_DAYS):
            if told is not None and told.date() < split.execution_date - timedelta(days=PROBE_DAYS):
                continue
            after_day, before_day = probe_sessions(table, split)
            step, step_answers = self.listed.read_close_step(line, split, day)
            after, answer = self._probe(line, after_day)
            before, before_answer = (None, None)
            if not self._is_later_count(split, before_day) and (
                after is None or split in table.late or step is not None
            ):
                before, before_answer = self._probe(line, before_day)
            if split in table.late or self._is_stale(split, step, (before_day, before), after):
                after, answer = None, None
            if after is not None:
                before, before_answer = None, None
            item = SplitCounts(split, after, before, step, frozen=after_day < self._rules.frozen_before)
            if split.execution_date > first or item.tells:
                splits.append(item)
                answers += [found for found in (answer, before_answer, *step_answers) if found]
        refused = tuple(split for split in table.refused.get(line.issuer, ()) if split.split.execution_date > first)
        if splits or refused:
            answers += [*judged.answers.get(line.issuer, ()), *(self._answers.splits(session) or ())]
        unlisted = self.jumps.find_unlisted_split(day, line, table) if day < self._rules.frozen_before else None
        basis = SplitBasisInputs(
            day,
            tuple(splits),
            find_reference(line.issuer, day, table),
            one_of_seven=line.issuer in seven_issuers(),
            contested=table.contested.get(line.issuer) or unlisted,
            refused=refused,
        )
        return basis, answers

    def _is_later_count(self, split: Split, before_day: date) -> bool:
        """Whether the provider's count of a day before a split is of a date after it."""
        return before_day < self._rules.frozen_before and split.execution_date <= self._rules.frozen_before

    def _is_stale(
        self, split: Split, step: Fraction | None, before: tuple[date, int | None], after: int | None
    ) -> bool:
        """Whether the count after a split is that of before it, though the close moved: the provider's comes late."""
        day, count = before
        if step is None or count is None or after is None or day < self._rules.frozen_before:
            return False
        moved = fits(step, split.factor, CLOSE_TOLERANCE)
        return moved and gap(Fraction(after), count) < gap(Fraction(after), count * split.factor)

    def _probe(self, line: Line, day: date) -> tuple[int | None, Answer | None]:
        """Read the whole company's count on a day, good enough to tell a split by, and the answer that it is from."""
        ticker = main_ticker(line.issuer)
        details, _, answer = self._kept.details(line, symbol_on(ticker, day), day)
        count = None if details is None else rough_count(line, details)
        return count, answer if count is not None else None

    def read_closes(self, day: date, tickers: Iterable[str]) -> dict[str, Decimal]:
        """Read some lines' closes of a session (USD), by their symbols on it; those that are not kept are left out."""
        closes, _, _ = self._kept.closes(day)
        symbols = (symbol_on(ticker, day) for ticker in tickers)
        return {symbol: closes[symbol] for symbol in symbols if symbol in closes}

    def closes_failure(self, day: date) -> str | None:
        """Say why a session's closes cannot be used; None where they can."""
        return self._kept.bars(day)[1]

    def splits(self, session: date) -> SplitTable:
        """Join the project's splits with the provider's list as it was kept with a session; without one, ours alone.

        An entry of the list that closes or counts speak against is left out.
        """
        return self.listed.judge(session).table


def _is_leaving(line: Line, session: date) -> bool:
    """Whether a session is one of the last of a line's stay in the index."""
    return line.member_to is not None and previous_session(line.member_to, LEAVING_SESSIONS) < session


def agree(earlier: Observation, later: Observation) -> bool:
    """Whether two sessions' answers, of one source, hold the same count from the same field."""
    first, last = earlier.accepted, later.accepted
    if first is None or last is None or _list_sources(earlier.answers) != _list_sources(later.answers):
        return False
    return (first.count, first.origin) == (last.count, last.origin)


def _list_sources(answers: Iterable[Answer]) -> set[str]:
    return {answer.source for answer in answers}


def _join(*groups: Iterable[Answer | None]) -> tuple[Answer, ...]:
    """Join answers, each once, in their order."""
    return tuple(dict.fromkeys(answer for group in groups for answer in group if answer is not None))

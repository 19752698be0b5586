"""What a collecting task works with: stored responses, the provider, and the inputs read from both."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import TypedDict, cast

from mag7.index.share_counts import REFERENCE_DAYS
from mag7.lake.objects import ObjectStore
from mag7.market.input_reader import open_inputs
from mag7.polygon.answers import Answer, AnswerStore, better_answer
from mag7.polygon.batch import Parsed
from mag7.polygon.calls import SPLITS, Call, grouped_daily, list_of_splits, list_of_stock_splits, ticker_details
from mag7.polygon.collect import CollectReport, collect, list_missing
from mag7.polygon.errors import PlanRefusedError, RequestRefusedError
from mag7.polygon.pages import collect_pages, join_pages
from mag7.sessions import list_sessions, month_ends
from mag7.settings import Settings
from mag7.tasks.connections import open_store
from mag7.tasks.request import Asking

log = logging.getLogger(__name__)


class CallCounts(TypedDict):
    """Call counts of a collecting task: asked, stored before, failed; requests sent, and bytes of response bodies."""

    asked: int
    kept: int
    failed: int
    requests: int
    bytes: int


NO_CALLS: CallCounts = {"asked": 0, "kept": 0, "failed": 0, "requests": 0, "bytes": 0}


class AnswerBook:
    """The stored responses, read from the lake once for each date and endpoint; ``add`` takes those stored since."""

    def __init__(self, store: AnswerStore) -> None:
        self._store = store
        self._months: dict[tuple[str, date], dict[date, list[str]]] = {}
        self._read: dict[tuple[str, date], dict[str, Answer]] = {}
        self._keys: dict[tuple[str, date], set[str]] = {}
        self._splits: dict[date, list[Answer] | None] = {}
        self.version = 0

    def details(self, symbol: str, day: date) -> Answer | None:
        """Ticker details of a symbol on a date."""
        return self._find(ticker_details(symbol, day))

    def grouped(self, day: date) -> Answer | None:
        """Every bar of a session."""
        return self._find(grouped_daily(day))

    def splits(self, session: date) -> list[Answer] | None:
        """Return the pages of the list of splits for a session, None where none is stored.

        It is the list that was requested with the session itself, else with the newest earlier session of its month, if
        that response came after the session.
        """
        if session not in self._splits:
            self._splits[session] = self._find_splits(session)
        return self._splits[session]

    def add(self, call: Call, answer: Answer) -> None:
        """Add a response that was just stored."""
        self.version += 1
        place = (call.endpoint, call.trading_date)
        if place in self._read:
            self._read[place][call.path] = better_answer(answer, self._read[place].get(call.path))
            self._keys[place].add(str(answer.key))
        else:
            self._months.pop((call.endpoint, call.trading_date.replace(day=1)), None)
        if call.endpoint == SPLITS:
            self._splits.clear()

    def catch_up(self, calls: Iterable[Call]) -> None:
        """Read what other runs have stored since, for those of some calls whose responses are not known here."""
        for call in calls:
            if self._find(call) is None:
                self.refresh(call)

    def refresh(self, call: Call) -> None:
        """Read what other runs have stored since for a call's endpoint and date."""
        place = (call.endpoint, call.trading_date)
        known = self._load(call)
        self._months.pop((call.endpoint, call.trading_date.replace(day=1)), None)
        new = [key for key in self._list_keys(call) if key not in self._keys[place]]
        for path, answer in self._store.read(new).items():
            known[path] = better_answer(answer, known.get(path))
        self._keys[place].update(new)
        self.version += 1

    def clear(self) -> None:
        """Forget everything that was read."""
        self._months.clear()
        self._read.clear()
        self._keys.clear()
        self._splits.clear()
        self.version += 1

    def _find_splits(self, session: date) -> list[Answer] | None:
        first, _ = month_ends(session)
        for day in reversed(list_sessions(first, session)):
            for listing in (list_session_splits(day), list_older_splits(day)):
                pages = join_pages(listing, self._load(listing))
                if pages is not None and (day == session or min(page.time for page in pages).date() > session):
                    return pages
        return None

    def _find(self, call: Call) -> Answer | None:
        return self._load(call).get(call.path)

    def _load(self, call: Call) -> dict[str, Answer]:
        place = (call.endpoint, call.trading_date)
        found = self._read.get(place)
        if found is None:
            keys = self._list_keys(call)
            found = self._read[place] = self._store.read(keys)
            self._keys[place] = set(keys)
        return found

    def _list_keys(self, call: Call) -> list[str]:
        month = (call.endpoint, call.trading_date.replace(day=1))
        if month not in self._months:
            self._months[month] = self._store.list_month(*month)
        return self._months[month].get(call.trading_date, [])


class Collector:
    """Makes calls within one task, stores the responses, and reads lines' inputs from all stored responses.

    ``part`` or ``span`` name the lines that it works on (mag7.polygon.answers.AnswerStore); ``closes`` are known
    already. ``failed`` are the calls that have no usable response.
    """

    def __init__(
        self,
        settings: Settings,
        asking: Asking,
        *,
        objects: ObjectStore | None = None,
        part: str | None = None,
        span: tuple[str, str] | None = None,
        closes: Mapping[date, Mapping[str, Decimal]] | None = None,
    ) -> None:
        from mag7.tasks.polygon_hook import PolygonHook

        self._threads = settings.threads
        self._again = asking is Asking.AGAIN
        self._reached = False
        self._older_splits = False
        self._client = PolygonHook().get_conn(settings)
        self.failed: set[Call] = set()
        self.objects = objects or open_store(settings)
        self.store = AnswerStore(self.objects, part, span)
        self.book = AnswerBook(self.store)
        self.reader = open_inputs(self.book, settings.counts_frozen_before, closes)

    def ask(self, calls: Iterable[Call]) -> CallCounts:
        """Make the calls that are not completed yet (all of them when asked again) and store the responses."""
        return self._count(collect(calls, self._client, self.store, threads=self._threads, again=self._again))

    def ask_optional(self, calls: Iterable[Call], parsed: Parsed | None = None) -> CallCounts:
        """Make calls that the session can do without; failed ones are stored with their reason.

        ``parsed`` is as for ``collect``. Raises KeyRejectedError, and UnreachableError where the provider responds to
        none of this task's first calls.
        """
        wanted = list(calls)
        report = collect(
            wanted, self._client, self.store, threads=self._threads, again=self._again, optional=True, parsed=parsed
        )
        self._require_reached(report)
        counts = self._count(report)
        if report.kept:
            self.book.catch_up(wanted)
        return counts

    def ask_closes(self, calls: Iterable[Call], tell: Callable[[int], object]) -> CollectReport:
        """Make the calls for sessions' closes; failed ones are stored with their reason; ``tell`` as for ``collect``.

        Raises NotYetReleasedError and KeyRejectedError, and UnreachableError where the provider responds to none.
        """
        report = collect(
            calls, self._client, self.store, threads=self._threads, optional=True, wait_for_release=True, tell=tell
        )
        self._require_reached(report)
        self._take(report)
        return report

    def ask_open(self, calls: Iterable[Call], tell: Callable[[int], object]) -> CollectReport:
        """Make calls that the book lists as not completed, without reading their responses again.

        Failed ones are stored with their reason; ``tell`` as for ``collect``; raises as ``ask_optional``.
        """
        report = collect(calls, self._client, self.store, threads=self._threads, again=True, optional=True, tell=tell)
        self._require_reached(report)
        self._take(report)
        return report

    def _require_reached(self, report: CollectReport) -> None:
        """Raise UnreachableError where the provider has not responded to any of this task's calls so far."""
        if report.unreachable is not None and not self._reached:
            raise report.unreachable
        self._reached = self._reached or report.asked > 0

    def ask_pages(self, first: Call) -> CallCounts:
        """Fetch every page of a listing, unless all are stored."""
        return self._count(collect_pages(first, self._client, self.store, again=self._again))

    def ask_splits(self, session: date) -> CallCounts:
        """Fetch the list of splits for a session, from the older endpoint where the newer one is not there.

        Makes no call where all pages of one of them are stored.
        """
        try:
            if not self._older_splits:
                return self.ask_pages(list_session_splits(session))
        except (RequestRefusedError, PlanRefusedError) as refused:
            log.warning("%s; calling the older endpoint", refused)
            self._older_splits = True
        return self.ask_pages(list_older_splits(session))

    def list_missing(self, calls: Iterable[Call]) -> list[Call]:
        """List the calls that are not completed yet; when asked again, also those that returned a 404."""
        return list_missing(list(calls), self._client, self.store, unknown_too=self._again)

    def _count(self, report: CollectReport) -> CallCounts:
        self._take(report)
        return count_calls(report)

    def _take(self, report: CollectReport) -> None:
        """Add stored responses to the book."""
        for call, answer in report.answers:
            self.book.add(call, answer)
            if not answer.completed:
                self.failed.add(call)
        log.info("made %d calls, %d were stored already, %d failed", report.asked, report.kept, report.failed)


def count_calls(report: CollectReport) -> CallCounts:
    """Return the call counts of a report."""
    return {
        "asked": report.asked,
        "kept": report.kept,
        "failed": report.failed,
        "requests": report.requests,
        "bytes": sum(len(answer.body.encode()) for _, answer in report.answers),
    }


def add_call_counts(counts: Iterable[CallCounts | Iterable[CallCounts]]) -> CallCounts:
    """Add up the call counts of several tasks; those of a mapped task come as one sequence."""
    found: list[CallCounts] = []
    for item in counts:
        found.extend([cast("CallCounts", item)] if isinstance(item, Mapping) else item)
    return {
        "asked": sum(item["asked"] for item in found),
        "kept": sum(item["kept"] for item in found),
        "failed": sum(item["failed"] for item in found),
        "requests": sum(item["requests"] for item in found),
        "bytes": sum(item["bytes"] for item in found),
    }


def list_session_splits(session: date) -> Call:
    """The list of splits for a session, from the oldest that can lie between it and a reference count."""
    return list_of_stock_splits(session - timedelta(days=REFERENCE_DAYS), session)


def list_older_splits(session: date) -> Call:
    """The same list from the provider's older endpoint, for where the newer one is not there."""
    return list_of_splits(session - timedelta(days=REFERENCE_DAYS), session)

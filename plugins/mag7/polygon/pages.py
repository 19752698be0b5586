"""Fetch every page of a listing, which is stored whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping

from mag7.polygon.answers import Answer, AnswerStore
from mag7.polygon.calls import Call
from mag7.polygon.checks import PatientCheck
from mag7.polygon.client import PolygonClient, next_page_path
from mag7.polygon.collect import HTTP_NOT_FOUND, CollectReport
from mag7.polygon.errors import RequestRefusedError


def collect_pages(first: Call, client: PolygonClient, store: AnswerStore, *, again: bool = False) -> CollectReport:
    """Fetch every page of a listing unless all of them are stored, and store them together.

    Raises the PolygonError of a page that cannot be fetched: nothing is stored then.
    """
    kept = None if again else join_pages(first, store.load(first.endpoint, first.trading_date, source=client.source))
    if kept is not None:
        return CollectReport(asked=0, kept=len(kept), completed=0, failed=0, keys=(), requests=0)
    sent = client.requests
    pages = list(client.fetch_pages(first.path, PatientCheck(first, client.tries)))
    missing = next((page for page in pages if page.status == HTTP_NOT_FOUND), None)
    if missing is not None:
        raise RequestRefusedError(missing.path, "HTTP 404 for a listing", status=404, body=missing.body)
    stored = store.save(first.endpoint, first.trading_date, pages)
    return CollectReport(
        asked=len(pages),
        kept=0,
        completed=len(pages),
        failed=0,
        keys=tuple(dict.fromkeys(page.key for page in stored if page.key)),
        requests=client.requests - sent,
        answers=tuple((Call(first.endpoint, first.trading_date, page.path), page) for page in stored),
    )


def join_pages(first: Call, kept: Mapping[str, Answer]) -> list[Answer] | None:
    """Find a listing's pages among stored responses by path, in their order; None where one is missing."""
    pages: list[Answer] = []
    path: str | None = first.path
    while path is not None:
        page = kept.get(path)
        if page is None or not page.completed or page in pages:
            return None
        pages.append(page)
        path = next_page_path(page)
    return pages

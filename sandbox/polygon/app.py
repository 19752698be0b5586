"""The offline market as a function from request to response: keys, routes, replayed bodies, counts and faults."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from sandbox.polygon import bars, details, faults, funds, reference, replies
from sandbox.polygon.replies import RefusedError, Reply, Request
from sandbox.polygon.settings import Settings

#: A key of this name is valid, but its plan allows nothing.
DENIED_KEY = "denied-plan"
_OTHER_COMPANIES = ("JNJ", "XOM")

_ROUTES: tuple[tuple[re.Pattern[str], str, Callable[..., bytes]], ...] = (
    (re.compile(r"/v3/reference/tickers/([^/]+)"), "ticker_details", details.answer_details),
    (re.compile(r"/v2/aggs/grouped/locale/us/market/stocks/([^/]+)"), "grouped_daily", bars.answer_grouped),
    (
        re.compile(r"/v2/aggs/ticker/([^/]+)/range/([^/]+)/([^/]+)/([^/]+)/([^/]+)"),
        "aggregates",
        bars.answer_aggregates,
    ),
    (re.compile(r"/v2/aggs/ticker/([^/]+)/prev"), "previous_close", bars.answer_previous),
    (re.compile(r"/v1/open-close/([^/]+)/([^/]+)"), "open_close", bars.answer_open_close),
    (re.compile(r"/v3/reference/tickers"), "tickers", reference.answer_tickers),
    (re.compile(r"/stocks/v1/splits"), "splits", reference.answer_stock_splits),
    (re.compile(r"/v3/reference/splits"), "splits", reference.answer_splits),
    (re.compile(r"/vX/reference/tickers/([^/]+)/events"), "ticker_events", reference.answer_events),
)


@dataclass(frozen=True)
class Outcome:
    """A response, and what a fault does to its transport."""

    reply: Reply
    strike: faults.Strike = field(default_factory=faults.Strike)


class MarketApp:
    """Answers and counts requests, and applies the fault rules."""

    def __init__(self, settings: Settings, rules: list[faults.Fault] | None = None) -> None:
        self.settings = settings
        self.rules = rules or []
        self.calls: Counter[tuple[str, int]] = Counter()
        self._replayed = _read_replay(settings.replay)

    def answer(self, target: str, headers: Mapping[str, str]) -> Outcome:
        """Answer a GET; the server carries out a fault that breaks the connection."""
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        key = query.pop("apiKey", None) or _read_bearer(headers)
        base = f"http://{headers.get('host', '127.0.0.1')}"
        request = Request(unquote(parts.path), query, base)
        shown = parts.path + ("?" + "&".join(f"{k}={v}" for k, v in query.items()) if query else "")
        strike = faults.choose_strike(self.rules, shown)
        reply = self._bend(strike.fault, request, key)
        kind = strike.fault.kind if strike.fault else ""
        self.calls[reply.endpoint, 0 if kind in {"reset", "stall"} else reply.status] += 1
        return Outcome(reply, strike)

    def show_calls(self) -> dict[str, object]:
        """Return the number of calls served; status 0 is a connection that a fault closed or stalled."""
        by_endpoint: Counter[str] = Counter()
        by_status: dict[str, dict[str, int]] = {}
        for (endpoint, status), count in sorted(self.calls.items()):
            by_endpoint[endpoint] += count
            by_status.setdefault(endpoint, {})[str(status)] = count
        return {"total": self.calls.total(), "by_endpoint": dict(by_endpoint), "by_status": by_status}

    def _bend(self, fault: faults.Fault | None, request: Request, key: str | None) -> Reply:
        if fault is None:
            return self._serve(request, key)
        if fault.kind == "other_company":
            return self._serve(_ask_for_other(request), key)
        reply = self._serve(request, key, fault.kind if fault.kind in funds.FAULTS else "")
        if fault.kind == "status":
            after = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
            error = {"status": "ERROR", "error": "simulated failure of the provider"}
            refused = RefusedError(fault.status, error, after)
            if fault.status == 429:
                refused = RefusedError(429, replies.too_many_requests().body, after)
            return refused.reply(request, reply.endpoint)
        if fault.kind in {"reset", "stall", "truncate", *funds.FAULTS} or reply.status != 200:
            return reply
        return Reply(200, faults.bend_body(fault, reply.body), reply.endpoint, reply.headers)

    def _serve(self, request: Request, key: str | None, fund_fault: str = "") -> Reply:
        if (file := funds.answer_funds(request, self.settings, fund_fault)) is not None:
            return file
        for pattern, endpoint, handler in _ROUTES:
            if match := pattern.fullmatch(request.path):
                try:
                    self._check_key(key)
                    body = self._find_replay(request)
                    return Reply(200, body or handler(request, self.settings, *match.groups()), endpoint)
                except RefusedError as refused:
                    return refused.reply(request, endpoint)
        return Reply(404, b"404 page not found\n")

    def _check_key(self, key: str | None) -> None:
        if not key:
            raise replies.missing_key()
        if key == DENIED_KEY:
            raise replies.plan_refuses()
        if self.settings.key is not None and key != self.settings.key:
            raise replies.unknown_key()

    def _find_replay(self, request: Request) -> bytes | None:
        fits = [
            (len(query), body)
            for query, body in self._replayed.get(request.path, ())
            if query.items() <= request.query.items()
        ]
        return max(fits, key=lambda fit: fit[0])[1] if fits else None


def _read_bearer(headers: Mapping[str, str]) -> str | None:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


def _ask_for_other(request: Request) -> Request:
    """Return the same request for another company."""
    match = re.search(r"/(?:tickers|ticker|open-close)/([^/]+)", request.path)
    if match is None:
        return request
    other = next(symbol for symbol in _OTHER_COMPANIES if symbol != match[1])
    path = request.path[: match.start(1)] + other + request.path[match.end(1) :]
    return Request(path, request.query, request.base_url)


def _read_replay(folder: Path | None) -> dict[str, list[tuple[dict[str, str], bytes]]]:
    """Read recorded bodies by path: the file name is the path, with ``&`` for the question mark and ``;`` for a colon.

    A body answers each request whose query has at least the file's parameters.
    """
    found: dict[str, list[tuple[dict[str, str], bytes]]] = {}
    for file in sorted(folder.rglob("*.json")) if folder else ():
        name = "/" + str(file.relative_to(folder or Path()))[: -len(".json")].replace(";", ":")
        path, _, query = name.partition("&")
        found.setdefault(unquote(path), []).append((dict(parse_qsl(query)), file.read_bytes()))
    return found

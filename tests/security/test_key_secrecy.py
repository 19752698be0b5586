"""The key goes out in one header: whatever a server echoes, no text, exception, log record or stored object has it."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterator
from datetime import date
from urllib.parse import quote

import pytest

from mag7.errors import LONGEST_LINE, Mag7Error
from mag7.polygon.answers import AnswerStore
from mag7.polygon.calls import list_of_splits, ticker_details
from mag7.polygon.collect import collect
from mag7.polygon.pages import collect_pages
from tests.unit.polygon.local_provider import (
    KEY,
    Canned,
    FakeClock,
    LocalProvider,
    MemoryObjects,
    details_body,
    open_client,
    serve,
)

DAY = date(2024, 12, 13)
PATH = "/v3/reference/tickers/AAPL?date=2024-12-13"
ESCAPED = "".join(f"\\u{ord(letter):04x}" for letter in KEY)
SLASHED = KEY.replace("/", "\\/")
FORMS = (KEY, quote(KEY, safe=""), quote(KEY), json.dumps(KEY)[1:-1], KEY[:20])

ANSWERS = {
    "refusal": Canned(401, json.dumps({"error": f"Unknown API Key {KEY}"}).encode()),
    "plan": Canned(403, json.dumps({"message": f"{KEY} may not"}).encode()),
    "escaped refusal": Canned(403, f'{{"error": "{ESCAPED} may not"}}'.encode()),
    "slashed refusal": Canned(400, f'{{"error": "{SLASHED} may not"}}'.encode()),
    "page": Canned(502, f"<html>{quote(KEY, safe='')}</html>".encode()),
    "cut in the middle": Canned(500, b"x" * (LONGEST_LINE - 12) + KEY.encode() + b"y" * 50),
    "rate": Canned(429, KEY.encode(), headers={"Retry-After": KEY}),
    "redirect": Canned(302, headers={"Location": f"http://127.0.0.1:1/{quote(KEY)}?apiKey={KEY}"}),
    "status": Canned(body=json.dumps({"status": f"for {KEY}"}).encode()),
    "escaped status": Canned(body=f'{{"status": "{ESCAPED}"}}'.encode()),
    "ticker": Canned(body=details_body(KEY)),
    "escaped ticker": Canned(body=f'{{"results": {{"ticker": "{ESCAPED}"}}}}'.encode()),
    "description": Canned(body=details_body("AAPL", description=f"asked with {KEY}")),
    "header": Canned(body=details_body("AAPL"), headers={"X-Market-Source": KEY}),
    "no page": Canned(404, KEY.encode()),
    "truncated": Canned(body=KEY.encode(), how="truncated"),
    "reset": Canned(how="reset"),
    "compressed": Canned(body=KEY.encode(), headers={"Content-Encoding": "gzip"}),
}
NEXT_URLS = {
    "own parameter": f"https://h/v3/splits?cursor=a&apiKey={KEY}",
    "another parameter": f"https://h/v3/splits?token={quote(KEY, safe='')}",
    "path": f"https://h/{quote(KEY)}/splits",
    "another host": f"https://{KEY}@evil.test/v3/splits?cursor=b",
}


@pytest.fixture
def provider() -> Iterator[LocalProvider]:
    with serve() as found:
        yield found


def holds_key(text: str) -> bool:
    return any(form in text for form in FORMS)


def show(error: BaseException) -> str:
    """Everything that a log, a debugger or Airflow may show of an error, its frames' locals included."""
    traced = traceback.TracebackException.from_exception(error, capture_locals=True)
    parts = [str(error), repr(error), repr(vars(error)), repr(error.args)]
    # This file's own frames hold the key, as it is theirs.
    frames = [
        frame for frame in traced.stack if frame.filename != __file__ and "/local_provider.py" not in frame.filename
    ]
    return "\n".join([*parts, *(repr(frame.locals) for frame in frames)])


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_echoes_the_key_does_not_spread_it(
    provider: LocalProvider, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    provider.always["AAPL"] = ANSWERS[name]
    objects = MemoryObjects()
    client = open_client(provider.address, FakeClock(), tries=2)
    with caplog.at_level(logging.DEBUG):
        try:
            client.fetch(PATH, None)
        except Mag7Error as error:
            assert not holds_key(show(error))
        try:
            collect([ticker_details("AAPL", DAY)], client, AnswerStore(objects), threads=1, again=True)
        except Mag7Error as error:
            assert not holds_key(show(error))

    assert not holds_key(repr(client) + str(client))
    assert not any(holds_key(record.getMessage()) for record in caplog.records)
    for answer in AnswerStore(objects).load("ticker_details", DAY).values():
        assert not holds_key(repr(answer))
    assert not any(holds_key(target) for target in provider.asked)


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("name", NEXT_URLS)
def test_a_next_page_never_takes_the_key_into_an_address(
    provider: LocalProvider, name: str, escaped: bool, caplog: pytest.LogCaptureFixture
) -> None:
    following = json.dumps(NEXT_URLS[name])
    if escaped:
        following = following.replace(KEY, ESCAPED).replace(quote(KEY, safe=""), "".join(ESCAPED))
    body = f'{{"status": "OK", "results": [], "next_url": {following}}}'.encode()
    call = list_of_splits(DAY, DAY)
    provider.scripts["splits"].append(Canned(body=body))
    provider.always["*"] = Canned(body=b'{"status": "OK", "results": []}')
    objects = MemoryObjects()
    with caplog.at_level(logging.DEBUG):
        try:
            collect_pages(call, open_client(provider.address, FakeClock(), tries=1), AnswerStore(objects))
        except Mag7Error as error:
            assert not holds_key(show(error))

    assert provider.asked
    assert not any(holds_key(target) for target in provider.asked)
    assert not any(holds_key(record.getMessage()) for record in caplog.records)
    assert all("127.0.0.1" in headers["Host"] for headers in provider.headers)

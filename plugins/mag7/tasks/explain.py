"""Print how a figure of a published session was worked out: ``python -m mag7.tasks.explain NVDA 2024-06-07``.

Reads the lake through the Airflow connection aws_default and the settings, as the tasks do, and makes no call to the
provider.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import date

from mag7.errors import Mag7Error, one_line
from mag7.market.explain import explain_line
from mag7.sessions import get_session
from mag7.settings import read_settings
from mag7.tasks.connections import open_store
from mag7.tasks.published import read_published


class DateInvalidError(Mag7Error):
    """The text given as a date is not a date."""


class SessionNotPublishedError(Mag7Error):
    """The session has no published document."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the explanation; returns the exit code, 1 with one line on standard error where there is none."""
    parser = argparse.ArgumentParser(prog="python -m mag7.tasks.explain", description=__doc__)
    parser.add_argument("ticker", help="the line's ticker or its symbol of that session, such as NVDA or FB")
    parser.add_argument("session", help="the session, such as 2024-06-07")
    options = parser.parse_args(arguments)
    try:
        print(explain_published(options.ticker, read_date(options.session)))
    except Mag7Error as error:
        print(f"explain: {error}", file=sys.stderr)
        return 1
    return 0


def read_date(text: str) -> date:
    """Read an ISO date; raises DateInvalidError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise DateInvalidError(f"{one_line(text)} is not a date: write it as 2024-06-07") from None


def explain_published(ticker: str, session: date) -> str:
    """Explain a line of a published session; raises NotASessionError, SessionNotPublishedError or LineUnknownError."""
    get_session(session)
    store = open_store(read_settings())
    document = read_published(store, session)
    if document is None:
        raise SessionNotPublishedError(f"{session} is not published in {store.bucket}: run mag7_daily for it first")
    return explain_line(document, ticker)


if __name__ == "__main__":
    sys.exit(main())

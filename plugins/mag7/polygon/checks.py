"""Check the body of a response before it is stored."""

from __future__ import annotations

from mag7.polygon.calls import GROUPED_DAILY, SPLITS, TICKER_DETAILS, Call, symbol_of
from mag7.polygon.errors import BodyInvalidError
from mag7.polygon.response_bodies import (
    GroupedDaily,
    SplitPage,
    TickerDetails,
    parse_grouped_daily,
    parse_splits,
    parse_ticker_details,
)
from mag7.polygon.response_fields import parse_object

FIGURES = ("market_cap", "weighted_shares_outstanding", "share_class_shares_outstanding")
PATIENCE = 2
"""How often a response with malformed figures is requested again before it is accepted as it is."""
UNUSABLE_SHOWN = 3


class PatientCheck:
    """Checks the bodies of one call; malformed figures are accepted only if they are so again on a retry.

    A figure of a wrong type counts as missing, and a stored response is not requested again: without the retry, a short
    fault of the provider would lose a line's count for good. ``content`` is the parsed content of the last body.
    """

    def __init__(self, call: Call, tries: int) -> None:
        self._call = call
        self._patience = min(PATIENCE, tries - 1)
        self.content: object = None

    def __call__(self, body: str) -> None:
        """Raise BodyInvalidError for a body that cannot be used, or might be complete on a retry."""
        self.content = parse_body(self._call, body)
        unusable = _list_unusable(self.content)
        if unusable and self._patience:
            self._patience -= 1
            raise BodyInvalidError(self._call.path, "; ".join(unusable[:UNUSABLE_SHOWN]))


def _list_unusable(content: object) -> list[str]:
    """List why figures of a parsed body count as missing although they are there."""
    if isinstance(content, TickerDetails):
        return [reason for field, reason in content.unusable.items() if field in FIGURES]
    return list(content.unusable.values()) if isinstance(content, GroupedDaily | SplitPage) else []


def parse_body(call: Call, body: str) -> object:
    """Parse a body as its call's endpoint answers; raises BodyInvalidError."""
    if call.endpoint == TICKER_DETAILS:
        return parse_ticker_details(body, symbol_of(call))
    if call.endpoint == GROUPED_DAILY:
        return parse_grouped_daily(body, call.trading_date)
    if call.endpoint == SPLITS:
        return parse_splits(body)
    return parse_object(body, call.path)

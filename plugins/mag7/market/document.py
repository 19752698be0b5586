"""The document of a session, market_data.json, from which every table is built.

The models below define its schema. Documents are validated against them when they are written and read, and ``make
document-schema`` derives include/glue/market_data.schema.json, from which the Glue jobs build their Spark schema. A
changed schema gets a new SCHEMA_VERSION.
"""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from mag7.errors import Mag7Error, one_line

SCHEMA_VERSION: Final = 4

Text = Annotated[str, Field(min_length=1)]
SplitPart = Annotated[float, Field(ge=1e-24, le=1e24)]
"""One side of a split ratio: a number of shares, neither infinite nor close to zero."""


class DocumentUnreadableError(Mag7Error):
    """A stored document is damaged or has another schema version; the message names its first invalid field."""


class _Part(BaseModel):
    # Amounts are Decimal up to here. A double holds 15 to 17 digits, so a cap of 3,750,689,160,990.00 keeps its cents.
    # defer_build: DAG files are parsed often, and parsing needs no models.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, from_attributes=True, defer_build=True)


class FactsUsed(_Part):
    """The facts version that the session was built with."""

    version: str
    name: str
    source: str
    members_confirmed_through: date


class Bar(_Part):
    """Prices as traded, USD; ``timestamp`` is midnight New York in milliseconds. An impossible value is null."""

    date: date
    close_price: float
    open_price: float | None
    high_price: float | None
    low_price: float | None
    volume: int | None
    vwap: float | None
    timestamp: int


class Company(_Part):
    """One of the seven, as the provider describes it; cap in USD."""

    name: str
    cik: str | None
    market_cap: float
    shares_outstanding: int
    share_count_origin: str
    currency: str | None
    description: str | None
    in_index: bool
    trading_data: Bar


class RankedCompany(_Part):
    """One of the seven with its rank by cap; shares in per cent, null for the index where it is not a member."""

    ticker: str
    name: str
    market_cap: float
    pct_of_mag7: float
    pct_of_sp500: float | None
    in_index: bool
    ranking: int


class Rankings(_Part):
    """The seven, largest cap first."""

    by_market_cap: list[RankedCompany]


class Metrics(_Part):
    """The session's figures: caps in USD, shares in per cent, the HHI in per cent squared."""

    total_mag7_market_cap: float
    sp500_total_market_cap: float
    mag7_pct_of_sp500: float
    mag7_pct_of_sp500_before: float | None
    collection_date: date
    mag7_companies_count: int
    mag7_in_index_market_cap: float
    mag7_in_index_count: int
    line_sum_market_cap: float | None
    line_sum_mag7_pct: float | None
    companies_expected: int
    companies_priced: int
    coverage_pct: float
    hhi: float
    effective_companies: float
    top10_pct: float
    quality: str
    membership_provisional: bool
    facts_version: str


class FailedTicker(_Part):
    """A line that could not be priced, and the reason."""

    ticker: str
    reason: str


class IndexDetails(_Part):
    """The index's total cap in USD, by company, and which lines failed."""

    total_market_cap: float
    processed_count: int
    failed_count: int
    failed_tickers: list[FailedTicker]


class DocumentSplit(_Part):
    """A company's split: ``split_from`` shares became ``split_to``; ``ticker`` is the company's main line."""

    issuer: Text
    ticker: Text
    execution_date: date
    split_from: SplitPart
    split_to: SplitPart
    source: Text


class ContestedSplit(DocumentSplit):
    """A listed split that was not applied, and the reason."""

    reason: str


class DocumentLine(_Part):
    """A line on the session; its figures are null where it could not be priced.

    ``counted``: its cap is its company's cap in the index. ``answers`` are the keys of the responses that the figures
    are worked out from.
    """

    ticker: str
    symbol: str
    company: str
    issuer: str
    cik: str | None
    sector: str
    main_line: bool
    has_bar: bool
    close: float | None
    share_count: int | None
    share_count_origin: str | None
    split_factor: float | None
    splits_applied: list[DocumentSplit]
    market_cap: float | None
    counted: bool
    provider_market_cap: float | None
    flags: list[str]
    answers: list[str]

    @model_validator(mode="after")
    def _require_figures(self) -> DocumentLine:
        if self.market_cap is not None and (self.close is None or self.share_count is None):
            raise ValueError("a market_cap without its close and share_count")
        return self


class Unpriced(_Part):
    """A company of the index without a cap, and the cap in USD that coverage assumes for it."""

    issuer: str
    ticker: str
    company: str
    assumed_market_cap: float | None
    basis: str


class CoverageFigures(_Part):
    """How much of the index is priced; shares in per cent."""

    lines_expected: int
    lines_priced: int
    companies_expected: int
    companies_priced: int
    companies_pct: float
    cap_pct: float
    unpriced: list[Unpriced]


class Document(_Part):
    """A session's document. ``data_collection_time`` is the time of the newest response used, New York time.

    ``companies`` are the seven by ticker, without those that failed. ``seven_outside`` are the lines of the seven that
    are not in the index on the session.
    """

    schema_version: Literal[4]
    source: str
    facts: FactsUsed
    trading_date: date
    data_collection_time: AwareDatetime
    companies: dict[str, Company]
    rankings: Rankings
    concentration_metrics: Metrics
    sp500_details: IndexDetails
    constituents: list[DocumentLine]
    seven_outside: list[DocumentLine]
    splits: list[DocumentSplit]
    contested_splits: list[ContestedSplit]
    coverage: CoverageFigures

    @property
    def lines(self) -> list[DocumentLine]:
        """Every line: those in the index, then those of the seven outside it."""
        return [*self.constituents, *self.seven_outside]


def encode_document(document: Document) -> bytes:
    """Encode a document as UTF-8 JSON; equal documents give equal bytes."""
    return json.dumps(document.model_dump(mode="json"), indent=1, ensure_ascii=False).encode()


def decode_document(body: bytes, place: str) -> Document:
    """Decode a stored document; ``place`` is its address, which DocumentUnreadableError names."""
    try:
        return Document.model_validate_json(body, strict=True)
    except ValidationError as invalid:
        raise DocumentUnreadableError(
            f"{place} is not a document of schema_version {SCHEMA_VERSION} ({_name_first_fault(invalid)}): rebuild its"
            " session from stored responses, which makes no call"
        ) from None


def _name_first_fault(invalid: ValidationError) -> str:
    fault = invalid.errors(include_url=False, include_context=False)[0]
    field, value = ".".join(map(str, fault["loc"])), fault["input"]
    shown = f" {one_line(repr(value), 60)}" if field and isinstance(value, str | int | float) else ""
    return one_line(f"{field}{shown}: {fault['msg']}".removeprefix(": "))

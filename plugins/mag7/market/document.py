"""market_data.json: everything about one session in one document, from which every table is made.

The models below are the one place where its shape is written down. What is written and what is read is checked against
them, and ``make document-schema`` derives include/glue/market_data.schema.json, of which the Glue jobs make their Spark
schema. A changed shape gets a new SCHEMA_VERSION.
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
"""A side of a ratio: what counts shares is neither endless nor next to nothing."""


class DocumentUnreadableError(Mag7Error):
    """A stored document is damaged, or of another schema version; the message names its first wrong field."""


class _Part(BaseModel):
    # Amounts are Decimal until they come here: a double holds 15 to 17 digits, so a cap of 3,750,689,160,990.00 keeps
    # its cents. Built when it is first used, as DAG files are parsed often.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, from_attributes=True, defer_build=True)


class FactsUsed(_Part):
    """The version of the facts that the session's lines are from."""

    version: str
    name: str
    source: str
    members_confirmed_through: date


class Bar(_Part):
    """Prices as traded, USD; ``timestamp`` is midnight New York in milliseconds. What cannot be true is null."""

    date: date
    close_price: float
    open_price: float | None
    high_price: float | None
    low_price: float | None
    volume: int | None
    vwap: float | None
    timestamp: int


class Company(_Part):
    """One of the seven, as the provider describes it; its cap in USD."""

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
    """One of the seven in the order of its cap; parts in per cent, of the index null where it is not a member."""

    ticker: str
    name: str
    market_cap: float
    pct_of_mag7: float
    pct_of_sp500: float | None
    in_index: bool
    ranking: int


class Rankings(_Part):
    """The seven in order."""

    by_market_cap: list[RankedCompany]


class Metrics(_Part):
    """The session's figures: caps in USD, parts in per cent, the HHI in per cent squared."""

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
    """A line that could not be priced, and why."""

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
    """A split of the provider's list that was not applied, and why."""

    reason: str


class DocumentLine(_Part):
    """A share class on the session; without figures where it could not be priced.

    ``counted`` says whether its cap is its company's in the index. ``answers`` are the keys of the responses that the
    figures rest on.
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
            raise ValueError("a market_cap without the close and the share_count that it is made of")
        return self


class Unpriced(_Part):
    """A company of the index without a cap, and the cap in USD that coverage counts it with."""

    issuer: str
    ticker: str
    company: str
    assumed_market_cap: float | None
    basis: str


class CoverageFigures(_Part):
    """How much of the index the session's figures rest on; parts in per cent."""

    lines_expected: int
    lines_priced: int
    companies_expected: int
    companies_priced: int
    companies_pct: float
    cap_pct: float
    unpriced: list[Unpriced]


class Document(_Part):
    """A session's document. ``data_collection_time`` is that of the newest response used, in New York.

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
    """Encode a document as UTF-8 JSON; the same document gives the same bytes."""
    return json.dumps(document.model_dump(mode="json"), indent=1, ensure_ascii=False).encode()


def decode_document(body: bytes, place: str) -> Document:
    """Read a stored document; ``place`` is its address for the message of DocumentUnreadableError."""
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

"""Working out a session's figures from its inputs, and building its document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from mag7.index.pinned import pinned_facts
from mag7.index.seven import SEVEN
from mag7.index.splits import SplitTable
from mag7.market.caps import FailedLine, PricedLine, price_line
from mag7.market.concentration import Concentration, measure_concentration
from mag7.market.document import (
    SCHEMA_VERSION,
    Bar,
    Company,
    ContestedSplit,
    CoverageFigures,
    Document,
    DocumentLine,
    DocumentSplit,
    FactsUsed,
    FailedTicker,
    IndexDetails,
    Metrics,
    RankedCompany,
    Rankings,
)
from mag7.market.inputs import LineInputs
from mag7.polygon.answers import Answer

NEW_YORK = ZoneInfo("America/New_York")
NO_SPLITS = SplitTable({})


@dataclass(frozen=True)
class SessionFigures:
    """A session's figures: its lines, those of the seven that are not in the index yet, totals, and known splits."""

    session: date
    lines: tuple[PricedLine | FailedLine, ...]
    seven_outside: tuple[PricedLine | FailedLine, ...]
    concentration: Concentration
    splits: SplitTable = NO_SPLITS

    @property
    def seven(self) -> dict[str, PricedLine | FailedLine]:
        """The seven by today's ticker, whether in the index or not."""
        found = {line.line.ticker: line for line in (*self.lines, *self.seven_outside)}
        return {ticker: found[ticker] for ticker in SEVEN if ticker in found}

    @property
    def missing_seven(self) -> list[FailedLine]:
        """Those of the seven that could not be priced."""
        return [line for line in self.seven.values() if isinstance(line, FailedLine)]

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The responses that the figures are worked out from, each once."""
        lines = (*self.lines, *self.seven_outside)
        return tuple({answer.path: answer for line in lines for answer in line.inputs.answers}.values())

    @property
    def failed(self) -> list[FailedLine]:
        """Every line that could not be priced."""
        return [line for line in (*self.lines, *self.seven_outside) if isinstance(line, FailedLine)]


def compute_figures(
    session: date, index: Sequence[LineInputs], seven_outside: Sequence[LineInputs], splits: SplitTable = NO_SPLITS
) -> SessionFigures:
    """Price every line and measure the session; raises NothingPricedError where no company has a cap."""
    lines = tuple(price_line(inputs) for inputs in sorted(index, key=lambda inputs: inputs.line.ticker))
    outside = tuple(price_line(inputs) for inputs in seven_outside)
    return SessionFigures(session, lines, outside, measure_concentration(lines, outside), splits)


def write_document(figures: SessionFigures, source: str, collected_at: datetime) -> Document:
    """Build a session's document; ``collected_at`` is the time of the newest response used.

    System A's keys keep their names and meaning. The exception is sp500_total_market_cap, which is the sum by company:
    it counts two-line companies once.
    """
    concentration, facts, table = figures.concentration, pinned_facts(), figures.splits
    return Document(
        schema_version=SCHEMA_VERSION,
        source=source,
        facts=FactsUsed(
            version=facts.version,
            name=facts.name,
            source=facts.source,
            members_confirmed_through=facts.confirmed_through,
        ),
        trading_date=figures.session,
        data_collection_time=collected_at.astimezone(NEW_YORK),
        companies={
            ticker: _company(line, figures) for ticker, line in figures.seven.items() if isinstance(line, PricedLine)
        },
        rankings=Rankings(by_market_cap=_rank(concentration)),
        concentration_metrics=_measure(figures),
        sp500_details=IndexDetails(
            total_market_cap=concentration.sp500_total_market_cap,
            processed_count=concentration.coverage.lines_priced,
            failed_count=len(figures.failed),
            failed_tickers=[FailedTicker(ticker=line.line.ticker, reason=line.reason) for line in figures.failed],
        ),
        constituents=[_line(line, counted=line.line.main_line) for line in figures.lines],
        seven_outside=[_line(line, counted=False) for line in figures.seven_outside],
        splits=[DocumentSplit.model_validate(split) for splits in table.splits.values() for split in splits],
        contested_splits=[ContestedSplit(**vars(one.split), reason=one.reason) for one in table.list_refused()],
        coverage=CoverageFigures.model_validate(concentration.coverage),
    )


def _company(line: PricedLine, figures: SessionFigures) -> Company:
    details, bar = line.inputs.details, line.bar
    midnight = datetime.combine(figures.session, datetime.min.time(), NEW_YORK)
    return Company(
        name=_name(line),
        cik=_cik(line.inputs),
        market_cap=line.market_cap,
        shares_outstanding=line.accepted.count,
        share_count_origin=line.accepted.origin.value,
        currency=details.currency if details else None,
        description=details.description if details else None,
        in_index=any(line is member for member in figures.lines),
        trading_data=Bar(
            date=figures.session,
            close_price=bar.close,
            open_price=bar.open,
            high_price=bar.high,
            low_price=bar.low,
            volume=bar.whole_volume,
            vwap=bar.vwap,
            timestamp=int(midnight.timestamp() * 1000),
        ),
    )


def _cik(inputs: LineInputs) -> str | None:
    """Return the CIK that the table has on the session, or the provider's where the table does not know that one."""
    given = inputs.details.cik if inputs.details else None
    return given if inputs.issuer_unconfirmed and given else inputs.line.cik or given


def _name(line: PricedLine) -> str:
    details = line.inputs.details
    return (details.name if details else None) or line.line.company


def _rank(concentration: Concentration) -> list[RankedCompany]:
    return [
        RankedCompany(
            ticker=ranked.priced.line.ticker,
            name=_name(ranked.priced),
            market_cap=ranked.priced.market_cap,
            pct_of_mag7=ranked.pct_of_mag7,
            pct_of_sp500=ranked.pct_of_sp500,
            in_index=ranked.in_index,
            ranking=ranked.ranking,
        )
        for ranked in concentration.ranked
    ]


def _measure(figures: SessionFigures) -> Metrics:
    concentration, facts = figures.concentration, pinned_facts()
    return Metrics(
        total_mag7_market_cap=concentration.total_mag7_market_cap,
        sp500_total_market_cap=concentration.sp500_total_market_cap,
        mag7_pct_of_sp500=concentration.mag7_pct_of_sp500,
        mag7_pct_of_sp500_before=concentration.mag7_pct_of_sp500_before,
        collection_date=figures.session,
        mag7_companies_count=len(concentration.ranked),
        mag7_in_index_market_cap=concentration.mag7_in_index_market_cap,
        mag7_in_index_count=concentration.mag7_in_index_count,
        line_sum_market_cap=concentration.line_sum_market_cap,
        line_sum_mag7_pct=concentration.line_sum_mag7_pct,
        companies_expected=concentration.coverage.companies_expected,
        companies_priced=concentration.coverage.companies_priced,
        coverage_pct=concentration.coverage.cap_pct,
        hhi=concentration.hhi,
        effective_companies=concentration.effective_companies,
        top10_pct=concentration.top10_pct,
        quality=concentration.quality,
        membership_provisional=facts.membership.is_provisional(figures.session),
        facts_version=facts.version,
    )


def _line(line: PricedLine | FailedLine, *, counted: bool) -> DocumentLine:
    priced, member = line if isinstance(line, PricedLine) else None, line.line
    return DocumentLine(
        ticker=member.ticker,
        symbol=member.symbol,
        company=member.company,
        issuer=member.issuer,
        cik=_cik(line.inputs),
        sector=member.sector,
        main_line=member.main_line,
        has_bar=line.inputs.bar is not None,
        close=priced.bar.close if priced else None,
        share_count=priced.accepted.count if priced else None,
        share_count_origin=priced.accepted.origin.value if priced else None,
        split_factor=float(priced.accepted.divisor) if priced else None,
        splits_applied=[DocumentSplit.model_validate(split) for split in priced.accepted.splits] if priced else [],
        market_cap=priced.market_cap if priced else None,
        counted=priced is not None and counted,
        provider_market_cap=line.inputs.provider_market_cap,
        flags=list(priced.accepted.flags) if priced else [],
        answers=list(dict.fromkeys(answer.key for answer in line.inputs.answers if answer.key)),
    )

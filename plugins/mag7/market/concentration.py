"""A session's figures: totals by company, the seven's share, the line sum, rankings, concentration, coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from mag7.errors import Mag7Error
from mag7.index.seven import SEVEN
from mag7.market.caps import FailedLine, PricedLine

HUNDRED = Decimal(100)
TOP = 10
LEAST_COMPARED = Decimal("0.99")
"""Smallest part of the companies with a cap on the session before at which the two shares are compared."""


class NothingPricedError(Mag7Error):
    """No company of the index could be priced, so there is no total."""


@dataclass(frozen=True)
class UnpricedCompany:
    """A company of the index without a cap, and the cap in USD that coverage assumes for it.

    ``basis`` says where the assumed cap is from. It is None where nothing is known of the company: the session is then
    refused.
    """

    issuer: str
    ticker: str
    company: str
    assumed_market_cap: Decimal | None
    basis: str


@dataclass(frozen=True)
class Coverage:
    """How much of the index is priced; shares in per cent."""

    lines_expected: int
    lines_priced: int
    companies_expected: int
    companies_priced: int
    companies_pct: Decimal
    cap_pct: Decimal
    unpriced: tuple[UnpricedCompany, ...]


@dataclass(frozen=True)
class RankedCompany:
    """One of the seven with its rank by cap; its share of the index is None where it is not a member."""

    ranking: int
    priced: PricedLine
    in_index: bool
    pct_of_mag7: Decimal
    pct_of_sp500: Decimal | None


@dataclass(frozen=True)
class Concentration:
    """Every figure of a session; caps in USD, shares in per cent, the HHI in per cent squared.

    ``mag7_pct_of_sp500_before`` is the share of the same companies on the session before; None where it is not known.
    """

    total_mag7_market_cap: Decimal
    mag7_in_index_market_cap: Decimal
    mag7_in_index_count: int
    sp500_total_market_cap: Decimal
    mag7_pct_of_sp500: Decimal
    mag7_pct_of_sp500_before: Decimal | None
    line_sum_market_cap: Decimal | None
    line_sum_mag7_pct: Decimal | None
    hhi: Decimal
    effective_companies: Decimal
    top10_pct: Decimal
    ranked: tuple[RankedCompany, ...]
    coverage: Coverage
    quality: str


def measure_concentration(
    lines: Sequence[PricedLine | FailedLine], seven_outside: Sequence[PricedLine | FailedLine]
) -> Concentration:
    """Compute a session's figures from the lines in the index and those of the seven that are not in it yet.

    A company's cap is that of its main line. Raises NothingPricedError where no company has one.
    """
    priced = [line for line in lines if isinstance(line, PricedLine)]
    companies = [line for line in priced if line.line.main_line]
    total = sum((line.market_cap for line in companies), Decimal(0))
    if not companies:
        raise NothingPricedError(_describe_failures(lines))
    in_index = [line for line in companies if line.line.ticker in SEVEN]
    seven = in_index + [line for line in seven_outside if isinstance(line, PricedLine)]
    in_index_cap = sum((line.market_cap for line in in_index), Decimal(0))
    line_sum = sum((line.market_cap for line in priced), Decimal(0)) if len(priced) == len(lines) else None
    parts = sorted((HUNDRED * line.market_cap / total for line in companies), reverse=True)
    hhi = sum((part * part for part in parts), Decimal(0))
    coverage = measure_coverage(lines)
    return Concentration(
        total_mag7_market_cap=sum((line.market_cap for line in seven), Decimal(0)),
        mag7_in_index_market_cap=in_index_cap,
        mag7_in_index_count=len(in_index),
        sp500_total_market_cap=total,
        mag7_pct_of_sp500=HUNDRED * in_index_cap / total,
        mag7_pct_of_sp500_before=_measure_share_before(companies, in_index),
        line_sum_market_cap=line_sum,
        line_sum_mag7_pct=None if line_sum is None else HUNDRED * in_index_cap / line_sum,
        hhi=hhi,
        effective_companies=HUNDRED * HUNDRED / hhi,
        top10_pct=sum(parts[:TOP], Decimal(0)),
        ranked=_rank(seven, in_index, total),
        coverage=coverage,
        quality=_grade([*lines, *seven_outside]),
    )


def _measure_share_before(companies: Sequence[PricedLine], in_index: Sequence[PricedLine]) -> Decimal | None:
    """Measure the seven's share on the session before, among today's companies: joining or leaving does not move it.

    None where one of the seven had no cap that day, or fewer than LEAST_COMPARED of all companies had one.
    """
    caps = {line.line.issuer: line.inputs.yesterday.market_cap for line in companies if line.inputs.yesterday}
    compared = len(caps) >= LEAST_COMPARED * len(companies)
    if not compared or any(line.line.issuer not in caps for line in in_index):
        return None
    return HUNDRED * sum((caps[line.line.issuer] for line in in_index), Decimal(0)) / sum(caps.values(), Decimal(0))


def _describe_failures(lines: Sequence[PricedLine | FailedLine]) -> str:
    failed = next((line for line in lines if isinstance(line, FailedLine) and line.line.main_line), None)
    example = f", such as {failed.line.ticker}: {failed.reason}" if failed else ""
    return f"no company of {len(lines)} lines could be priced{example}"


def _rank(seven: list[PricedLine], in_index: list[PricedLine], total: Decimal) -> tuple[RankedCompany, ...]:
    group = sum((line.market_cap for line in seven), Decimal(0))
    ordered = sorted(seven, key=lambda line: (-line.market_cap, line.line.ticker))
    members = {line.line.ticker for line in in_index}
    return tuple(
        RankedCompany(
            ranking=place,
            priced=line,
            in_index=line.line.ticker in members,
            pct_of_mag7=HUNDRED * line.market_cap / group,
            pct_of_sp500=HUNDRED * line.market_cap / total if line.line.ticker in members else None,
        )
        for place, line in enumerate(ordered, start=1)
    )


def measure_coverage(lines: Sequence[PricedLine | FailedLine]) -> Coverage:
    """Measure what share of the companies, and of their caps, is priced.

    For an unpriced company the cap of an earlier session is assumed, or its close times its last known count.
    """
    main = [line for line in lines if line.line.main_line]
    priced = [line for line in main if isinstance(line, PricedLine)]
    total = sum((line.market_cap for line in priced), Decimal(0))
    unpriced = tuple(_assume(line) for line in main if isinstance(line, FailedLine))
    missing = sum((company.assumed_market_cap or Decimal(0) for company in unpriced), Decimal(0))
    return Coverage(
        lines_expected=len(lines),
        lines_priced=sum(isinstance(line, PricedLine) for line in lines),
        companies_expected=len(main),
        companies_priced=len(priced),
        companies_pct=HUNDRED * len(priced) / len(main) if main else Decimal(0),
        cap_pct=HUNDRED * total / (total + missing) if total else Decimal(0),
        unpriced=unpriced,
    )


def _assume(failed: FailedLine) -> UnpricedCompany:
    line, inputs = failed.line, failed.inputs
    look_back = inputs.look_back or inputs.yesterday
    cap: Decimal | None = None
    basis = "nothing"
    if look_back is not None:
        cap, basis = look_back.market_cap, f"cap of {look_back.session}"
    elif inputs.last_known is not None:
        cap, basis = inputs.last_known.market_cap, inputs.last_known.basis
    return UnpricedCompany(line.issuer, line.ticker, line.company, cap, basis)


def _grade(lines: Sequence[PricedLine | FailedLine]) -> str:
    """Grade a session by all its lines, with those of the seven outside the index."""
    priced = [line for line in lines if isinstance(line, PricedLine)]
    if any(isinstance(line, FailedLine) and not line.inputs.stopped_trading for line in lines):
        return "partial"
    return "flagged" if any(line.accepted.flags for line in priced) else "complete"


@dataclass(frozen=True)
class CoverageBounds:
    """The least coverage that a session needs, in per cent."""

    minimum_companies_pct: Decimal
    minimum_cap_pct: Decimal


def list_refusals(
    concentration: Concentration, missing_seven: Sequence[FailedLine], bounds: CoverageBounds
) -> list[str]:
    """List the reasons why a session must not be published, a sentence each; empty where it may."""
    refusals = [
        f"{missing.line.ticker} ({missing.line.company}), one of the seven, could not be priced: {missing.reason}"
        for missing in missing_seven
    ]
    coverage = concentration.coverage
    if coverage.companies_pct < bounds.minimum_companies_pct:
        refusals.append(
            f"only {coverage.companies_priced} of {coverage.companies_expected} companies are priced"
            f" ({coverage.companies_pct:.2f} %), at least {bounds.minimum_companies_pct} % are needed"
        )
    if coverage.cap_pct < bounds.minimum_cap_pct:
        refusals.append(
            f"only {coverage.cap_pct:.2f} % of the index's market capitalization is priced,"
            f" at least {bounds.minimum_cap_pct} % is needed"
        )
    return refusals + [
        f"{company.ticker} ({company.company}) could not be priced, and neither a cap of an earlier session nor a share"
        " count of it is known, so its part of the index cannot be estimated; run an earlier session on which the"
        " provider has its share count, or this one with collect_again"
        for company in coverage.unpriced
        if company.assumed_market_cap is None
    ]

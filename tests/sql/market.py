"""A small index as rows of the six tables: the seven's real caps of 2024-12-13, the other companies invented."""

from __future__ import annotations

from datetime import date
from typing import Any

GOLDEN_DAY = date(2024, 12, 13)

Rows = dict[str, list[dict[str, Any]]]

# ticker: (close in USD, shares outstanding) of the golden record
SEVEN = {
    "AAPL": (248.13, 15_115_823_000),
    "MSFT": (447.27, 7_434_880_776),
    "NVDA": (134.25, 24_490_000_000),
    "AMZN": (227.46, 10_515_011_008),
    "GOOGL": (189.82, 12_241_000_000),
    "META": (620.35, 2_524_488_533),
    "TSLA": (436.23, 3_210_059_659),
}
# Six companies of 6 T USD stand for the other 493; GOOG is the second line of Alphabet.
OTHERS = {f"OTH{number}": (100.0, 60_000_000_000) for number in range(6)}
SECOND_LINE = {"GOOG": (191.38, 12_241_000_000)}
MIDNIGHT = 1_734_066_000_000


def make_rows(session: date = GOLDEN_DAY, *, outside: tuple[str, ...] = ()) -> Rows:
    """Make a session's rows that pass every check; ``outside`` names those of the seven not in the index."""
    caps = {ticker: close * count for ticker, (close, count) in SEVEN.items()}
    total = sum(caps[ticker] for ticker in caps if ticker not in outside) + sum(c * n for c, n in OTHERS.values())
    line_sum = total + sum(close * count for close, count in SECOND_LINE.values())
    in_index = sum(caps[ticker] for ticker in caps if ticker not in outside)
    ranked = sorted(caps, key=lambda ticker: -caps[ticker])
    lines = [_line(session, ticker, quote) for ticker, quote in {**SEVEN, **OTHERS, **SECOND_LINE}.items()]
    companies = len(OTHERS) + len(SEVEN) - len(outside)
    return {
        "concentration_metrics": [
            {
                "trading_date": session,
                "total_mag7_market_cap": sum(caps.values()),
                "sp500_total_market_cap": total,
                "mag7_pct_of_sp500": 100 * in_index / total,
                "mag7_companies_count": 7,
                "mag7_in_index_market_cap": in_index,
                "mag7_in_index_count": 7 - len(outside),
                "line_sum_market_cap": line_sum,
                "line_sum_mag7_pct": 100 * in_index / line_sum,
                "companies_expected": companies,
                "companies_priced": companies,
                "coverage_pct": 100.0,
                "hhi": 900.0,
                "effective_companies": 11.1,
                "top10_pct": 90.0,
                "quality": "complete",
                "source": "test",
                "mag7_pct_of_sp500_before": 100 * in_index / total + 0.5,
                "membership_provisional": False,
                "facts_version": "0123456789abcdef",
            }
        ],
        "company_details": [_details(session, ticker) for ticker in SEVEN],
        "daily_trading": [_trading(session, ticker) for ticker in SEVEN],
        "magnificent7_metrics": [
            {
                "trading_date": session,
                "ticker": ticker,
                "market_cap": caps[ticker],
                "pct_of_mag7": 100 * caps[ticker] / sum(caps.values()),
                "pct_of_sp500": None if ticker in outside else 100 * caps[ticker] / total,
                "ranking": place,
                "in_index": ticker not in outside,
            }
            for place, ticker in enumerate(ranked, start=1)
        ],
        "failed_collections": [],
        "constituent_market_caps": [line for line in lines if line["ticker"] not in outside],
    }


def _details(session: date, ticker: str) -> dict[str, Any]:
    close, count = SEVEN[ticker]
    return {
        "trading_date": session,
        "ticker": ticker,
        "company_name": f"{ticker} Company",
        "market_cap": close * count,
        "shares_outstanding": float(count),
        "currency": "usd",
        "description": None,
        "cik": None,
        "share_count_origin": "weighted",
    }


def _trading(session: date, ticker: str) -> dict[str, Any]:
    close = SEVEN[ticker][0]
    return {
        "trading_date": session,
        "ticker": ticker,
        "open": close - 1,
        "high": close + 2,
        "low": close - 2,
        "close": close,
        "volume": 31_526_663,
        "vwap": None,
        "timestamp": MIDNIGHT,
    }


def _line(session: date, ticker: str, quote: tuple[float, int]) -> dict[str, Any]:
    close, count = quote
    main_line = ticker not in SECOND_LINE
    return {
        "trading_date": session,
        "ticker": ticker,
        "symbol": ticker,
        "company": f"{ticker} Company",
        "issuer": "X-alphabet" if ticker in {"GOOGL", "GOOG"} else f"X-{ticker.lower()}",
        "cik": None,
        "sector": "Information Technology",
        "main_line": main_line,
        "close": close,
        "share_count": count,
        "share_count_origin": "weighted",
        "market_cap": close * count,
        "counted": main_line,
        "provider_market_cap": close * count,
        "flags": None,
        "source": "test",
        "split_factor": 1.0,
    }

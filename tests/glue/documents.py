"""Small market_data.json documents: some of the seven with their closes and counts of 2024-12-13, and a few lines."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

from market_documents import Window

GOLDEN_DAY = date(2024, 12, 13)
EVE = date(2024, 12, 12)
QUOTES = {"AAPL": (248.13, 15_115_823_000), "MSFT": (447.27, 7_434_880_776), "TSLA": (436.23, 3_210_059_659)}
QUOTED_AFTER_SPLIT = {"TSLA": 3.0}
"""The factor that the provider's count was divided by: it included a later split."""

Document = dict[str, Any]


def make_document(session: date = GOLDEN_DAY, *, failed: tuple[str, ...] = ()) -> Document:
    """Make a session's document; a company that failed is absent, and its line has no figures."""
    day = session.isoformat()
    caps = {ticker: close * count for ticker, (close, count) in QUOTES.items() if ticker not in failed}
    total = sum(caps.values())
    return {
        "schema_version": 4,
        "source": "simulated",
        "facts": {
            "version": "0123456789abcdef",
            "name": "",
            "source": "public sources",
            "members_confirmed_through": day,
        },
        "trading_date": day,
        "data_collection_time": f"{day}T20:59:05-05:00",
        "companies": {ticker: _company(ticker, day) for ticker in caps},
        "rankings": {
            "by_market_cap": [
                {
                    "ticker": ticker,
                    "name": f"{ticker} Inc.",
                    "market_cap": caps[ticker],
                    "pct_of_mag7": 100 * caps[ticker] / total,
                    "pct_of_sp500": None if ticker == "TSLA" else 100 * caps[ticker] / total,
                    "in_index": ticker != "TSLA",
                    "ranking": place,
                }
                for place, ticker in enumerate(caps, start=1)
            ]
        },
        "concentration_metrics": {
            "total_mag7_market_cap": total,
            "sp500_total_market_cap": total,
            "mag7_pct_of_sp500": 100,  # a whole number, as JSON may hold it, is a double all the same
            "collection_date": day,
            "mag7_companies_count": len(caps),
            "mag7_in_index_market_cap": total,
            "mag7_in_index_count": len(caps),
            "line_sum_market_cap": None if failed else total,
            "line_sum_mag7_pct": None if failed else 100.0,
            "companies_expected": len(QUOTES),
            "companies_priced": len(caps),
            "coverage_pct": 99.9,
            "hhi": 3600.5,
            "effective_companies": 2.78,
            "top10_pct": 100.0,
            "quality": "partial" if failed else "complete",
            "mag7_pct_of_sp500_before": None if failed else 99.25,
            "membership_provisional": bool(failed),
            "facts_version": "0123456789abcdef",
        },
        "sp500_details": {
            "total_market_cap": total,
            "processed_count": len(caps),
            "failed_count": len(failed),
            "failed_tickers": [{"ticker": ticker, "reason": "HTTP 404"} for ticker in failed],
        },
        "constituents": [_constituent(ticker, ticker not in failed) for ticker in QUOTES],
        "seven_outside": [],
        "splits": [
            {
                "issuer": "X-tsla",
                "ticker": "TSLA",
                "execution_date": "2022-08-25",
                "split_from": 1,
                "split_to": 3,
                "source": "provider",
            }
        ],
        "contested_splits": [],
        "coverage": {
            "lines_expected": len(QUOTES),
            "lines_priced": len(caps),
            "companies_expected": len(QUOTES),
            "companies_priced": len(caps),
            "companies_pct": 100.0,
            "cap_pct": 99.9,
            "unpriced": [],
        },
    }


def _company(ticker: str, day: str) -> dict[str, Any]:
    close, count = QUOTES[ticker]
    return {
        "name": f"{ticker} Inc.",
        "cik": None,
        "market_cap": close * count,
        "shares_outstanding": count,
        "share_count_origin": "weighted",
        "currency": "usd",
        "description": "What it does.",
        "in_index": True,
        "trading_data": {
            "date": day,
            "close_price": close,
            "open_price": close - 1,
            "high_price": close + 1,
            "low_price": close - 2,
            "volume": 4_294_967_296,  # more than an INTEGER holds
            "vwap": None,
            "timestamp": 1_734_066_000_000,
            **(dict.fromkeys(("open_price", "high_price", "low_price", "volume")) if ticker == "TSLA" else {}),
        },
    }


def _constituent(ticker: str, priced: bool) -> dict[str, Any]:
    close, count = QUOTES[ticker] if priced else (None, None)
    return {
        "ticker": ticker,
        "symbol": ticker,
        "company": f"{ticker} Inc.",
        "issuer": f"X-{ticker.lower()}",
        "cik": None,
        "sector": "Information Technology",
        "main_line": True,
        "has_bar": True,
        "close": close,
        "share_count": count,
        "share_count_origin": "weighted" if priced else None,
        "market_cap": QUOTES[ticker][0] * QUOTES[ticker][1] if priced else None,
        "counted": priced,
        "provider_market_cap": None,
        "flags": ["market_cap_missing", "look_back"] if ticker == "MSFT" else [],
        "splits_applied": [],
        "split_factor": QUOTED_AFTER_SPLIT.get(ticker, 1.0) if priced else None,
        "answers": ["raw/polygon/ticker_details/x.jsonl.gz"],
    }


def store_document(staging: Path, document: Document | list[Document] | str, session: date = GOLDEN_DAY) -> None:
    """Write a document to its key in a staging folder; a string is written unchanged."""
    path = staging / f"market_data/trading_date={session.isoformat()}/market_data.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document, ensure_ascii=False))


def open_window(staging: Path, *sessions: date) -> Window:
    return Window(staging.as_uri(), sessions or (GOLDEN_DAY,))

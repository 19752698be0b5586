-- A row is a session. The line sum is NULL where a line of the index could not be priced, the share of the
-- session before where it could not be had. membership_provisional: the members are those of the newest list,
-- carried forward until a source confirms them. facts_version: the facts that the session rests on.
CREATE TABLE IF NOT EXISTS {{ schema() }}.concentration_metrics (
    trading_date DATE NOT NULL,
    total_mag7_market_cap DOUBLE PRECISION NOT NULL,
    sp500_total_market_cap DOUBLE PRECISION NOT NULL,
    mag7_pct_of_sp500 DOUBLE PRECISION NOT NULL,
    mag7_companies_count INTEGER NOT NULL,
    mag7_in_index_market_cap DOUBLE PRECISION NOT NULL,
    mag7_in_index_count INTEGER NOT NULL,
    line_sum_market_cap DOUBLE PRECISION,
    line_sum_mag7_pct DOUBLE PRECISION,
    companies_expected INTEGER NOT NULL,
    companies_priced INTEGER NOT NULL,
    coverage_pct DOUBLE PRECISION NOT NULL,
    hhi DOUBLE PRECISION NOT NULL,
    effective_companies DOUBLE PRECISION NOT NULL,
    top10_pct DOUBLE PRECISION NOT NULL,
    quality VARCHAR(32) NOT NULL,
    source VARCHAR(64) NOT NULL,
    mag7_pct_of_sp500_before DOUBLE PRECISION,
    membership_provisional BOOLEAN DEFAULT FALSE NOT NULL,
    facts_version VARCHAR(64),
    PRIMARY KEY (trading_date)
)
DISTSTYLE AUTO
COMPOUND SORTKEY (trading_date)

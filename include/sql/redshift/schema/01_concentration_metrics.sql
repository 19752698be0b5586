-- A row is a session. The line sum is NULL where a line of the index could not be priced.
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
    PRIMARY KEY (trading_date)
)
DISTSTYLE AUTO
COMPOUND SORTKEY (trading_date)

-- A row is one of the seven on a session; pct_of_sp500 is NULL where it was not in the index.
CREATE TABLE IF NOT EXISTS {{ schema() }}.magnificent7_metrics (
    trading_date DATE NOT NULL,
    ticker VARCHAR(10) NOT NULL,
    market_cap DOUBLE PRECISION NOT NULL,
    pct_of_mag7 DOUBLE PRECISION NOT NULL,
    pct_of_sp500 DOUBLE PRECISION,
    ranking INTEGER NOT NULL,
    in_index BOOLEAN NOT NULL,
    PRIMARY KEY (trading_date, ticker)
)
DISTSTYLE AUTO
COMPOUND SORTKEY (trading_date, ticker)

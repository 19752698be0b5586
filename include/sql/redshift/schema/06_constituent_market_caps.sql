-- A row is a line of the index on a session; a line that failed has no close, count or cap. split_factor: by
-- how much the provider's share count was divided to stand on the session's split basis; 1 where it was not.
CREATE TABLE IF NOT EXISTS {{ schema() }}.constituent_market_caps (
    trading_date DATE NOT NULL,
    ticker VARCHAR(10) NOT NULL,
    symbol VARCHAR(10) NOT NULL,
    company VARCHAR(255) NOT NULL,
    issuer VARCHAR(32) NOT NULL,
    cik VARCHAR(10),
    sector VARCHAR(64) NOT NULL,
    main_line BOOLEAN NOT NULL,
    "close" DOUBLE PRECISION,
    share_count BIGINT,
    share_count_origin VARCHAR(32),
    market_cap DOUBLE PRECISION,
    counted BOOLEAN NOT NULL,
    provider_market_cap DOUBLE PRECISION,
    flags VARCHAR(256),
    source VARCHAR(64) NOT NULL,
    split_factor DOUBLE PRECISION,
    PRIMARY KEY (trading_date, ticker)
)
DISTSTYLE AUTO
COMPOUND SORTKEY (trading_date, ticker)

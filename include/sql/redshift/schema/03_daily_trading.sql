-- A row is one of the seven on a session: prices as traded, never adjusted for a later split. Open, high,
-- low and volume are NULL where the provider's value cannot be true beside the close.
CREATE TABLE IF NOT EXISTS {{ schema() }}.daily_trading (
    trading_date DATE NOT NULL,
    ticker VARCHAR(10) NOT NULL,
    "open" DOUBLE PRECISION,
    high DOUBLE PRECISION,
    low DOUBLE PRECISION,
    "close" DOUBLE PRECISION NOT NULL,
    volume BIGINT,
    vwap DOUBLE PRECISION,
    "timestamp" BIGINT NOT NULL,
    PRIMARY KEY (trading_date, ticker)
)
DISTSTYLE AUTO
COMPOUND SORTKEY (trading_date, ticker)

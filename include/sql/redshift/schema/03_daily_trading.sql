-- A row is one of the seven on a session: prices as traded, never adjusted for a later split.
CREATE TABLE IF NOT EXISTS {{ schema() }}.daily_trading (
    trading_date DATE NOT NULL,
    ticker VARCHAR(10) NOT NULL,
    "open" DOUBLE PRECISION NOT NULL,
    high DOUBLE PRECISION NOT NULL,
    low DOUBLE PRECISION NOT NULL,
    "close" DOUBLE PRECISION NOT NULL,
    volume BIGINT NOT NULL,
    vwap DOUBLE PRECISION,
    "timestamp" BIGINT NOT NULL,
    PRIMARY KEY (trading_date, ticker)
)
DISTSTYLE AUTO
COMPOUND SORTKEY (trading_date, ticker)

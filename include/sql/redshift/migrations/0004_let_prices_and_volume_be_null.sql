-- Open, high, low and volume are NULL where the provider's value cannot be true beside the close.
-- Redshift cannot drop a column's NOT NULL: the table is made again with all its rows, without its grants.
CREATE TABLE {{ schema() }}.daily_trading_rebuilt (
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
COMPOUND SORTKEY (trading_date, ticker);

INSERT INTO {{ schema() }}.daily_trading_rebuilt
(trading_date, ticker, "open", high, low, "close", volume, vwap, "timestamp")
SELECT
    trading_date,
    ticker,
    "open",
    high,
    low,
    "close",
    volume,
    vwap,
    "timestamp"
FROM {{ schema() }}.daily_trading;

-- A table that a view stands on cannot be dropped: this one stands on the new table until the end.
CREATE OR REPLACE VIEW {{ schema() }}.daily_trading_adjusted AS
SELECT
    trading_date,
    ticker,
    "open",
    high,
    low,
    "close",
    volume,
    vwap,
    CAST(1 AS DOUBLE PRECISION) AS adjustment_factor
FROM {{ schema() }}.daily_trading_rebuilt;

DROP TABLE {{ schema() }}.daily_trading;

ALTER TABLE {{ schema() }}.daily_trading_rebuilt RENAME TO daily_trading;

-- As in 0003: daily_trading on today's split basis, prices over the adjustment factor, volume times it.
CREATE OR REPLACE VIEW {{ schema() }}.daily_trading_adjusted AS
WITH factors AS (
    SELECT
        trading.trading_date,
        trading.ticker,
        COALESCE(
            ROUND(EXP(SUM(LN(executed.split_to))), 9) / ROUND(EXP(SUM(LN(executed.split_from))), 9), 1
        ) AS adjustment_factor
    FROM {{ schema() }}.daily_trading AS trading
    LEFT JOIN {{ schema() }}.splits AS executed
        ON
            trading.ticker = executed.ticker
            AND trading.trading_date < executed.execution_date
            AND executed.execution_date <= CURRENT_DATE
    GROUP BY trading.trading_date, trading.ticker
)

SELECT
    trading.trading_date,
    trading.ticker,
    trading."open" / factors.adjustment_factor AS "open",
    trading.high / factors.adjustment_factor AS high,
    trading.low / factors.adjustment_factor AS low,
    trading."close" / factors.adjustment_factor AS "close",
    CAST(ROUND(trading.volume * factors.adjustment_factor, 0) AS BIGINT) AS volume,
    trading.vwap / factors.adjustment_factor AS vwap,
    factors.adjustment_factor
FROM {{ schema() }}.daily_trading AS trading
INNER JOIN factors
    ON
        trading.trading_date = factors.trading_date
        AND trading.ticker = factors.ticker;

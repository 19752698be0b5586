-- daily_trading on today's split basis: prices over the adjustment factor, volume times it. A split that is
-- only announced adjusts nothing. The factor is a product of ratios, made of EXP(SUM(LN())) with both sides
-- rounded to nine decimals: where they are whole numbers it is exact, 4 x 10 is 40.
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
        AND trading.ticker = factors.ticker

-- What were the closes of the seven, adjusted for every split executed since?
-- The stored closes are as traded: Nvidia's of 2024-06-07 is ten times that of its next session.
-- The factor is made as in Redshift's view daily_trading_adjusted.
WITH factors AS (
    SELECT
        trading.trading_date,
        trading.ticker,
        COALESCE(
            ROUND(EXP(SUM(LN(executed.split_to))), 9) / ROUND(EXP(SUM(LN(executed.split_from))), 9), 1
        ) AS adjustment_factor
    FROM market_data.daily_trading AS trading
    LEFT JOIN market_data.splits AS executed
        ON
            trading.ticker = executed.ticker
            AND trading.trading_date < executed.execution_date
            AND executed.execution_date <= CURRENT_DATE
    GROUP BY trading.trading_date, trading.ticker
)

SELECT
    trading.trading_date,
    trading.ticker,
    trading."close",
    factors.adjustment_factor,
    trading."close" / factors.adjustment_factor AS adjusted_close
FROM market_data.daily_trading AS trading
INNER JOIN factors
    ON
        trading.trading_date = factors.trading_date
        AND trading.ticker = factors.ticker
ORDER BY trading.ticker, trading.trading_date

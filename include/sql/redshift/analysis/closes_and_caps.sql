-- How did close and market cap of each of the seven move over the month up to the newest session?
SELECT
    trading.trading_date,
    trading.ticker,
    trading."close",
    metrics.market_cap
FROM market_data.daily_trading AS trading
INNER JOIN market_data.magnificent7_metrics AS metrics
    ON
        trading.trading_date = metrics.trading_date
        AND trading.ticker = metrics.ticker
WHERE
    trading.trading_date > (
        SELECT CAST(DATEADD(MONTH, -1, MAX(latest.trading_date)) AS DATE)
        FROM market_data.daily_trading AS latest
    )
ORDER BY trading.trading_date ASC, metrics.market_cap DESC

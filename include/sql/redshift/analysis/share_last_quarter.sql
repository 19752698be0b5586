-- What was the share of the seven over the three months up to the newest session?
-- Counted from the newest session, not from today, so that an old warehouse answers too.
SELECT
    trading_date,
    mag7_pct_of_sp500
FROM market_data.concentration_metrics
WHERE
    trading_date > (
        SELECT CAST(DATEADD(MONTH, -3, MAX(latest.trading_date)) AS DATE)
        FROM market_data.concentration_metrics AS latest
    )
ORDER BY trading_date

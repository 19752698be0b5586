-- How did the share of the seven change from one session to the next, in percentage points?
SELECT
    trading_date,
    mag7_pct_of_sp500,
    LAG(mag7_pct_of_sp500) OVER (ORDER BY trading_date) AS previous_pct,
    mag7_pct_of_sp500 - LAG(mag7_pct_of_sp500) OVER (ORDER BY trading_date) AS change
FROM market_data.concentration_metrics
ORDER BY trading_date

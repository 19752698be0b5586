-- What was the largest and the smallest share of the index that the seven made up, and when?
SELECT
    MAX(mag7_pct_of_sp500) AS largest_pct,
    MAX_BY(trading_date, mag7_pct_of_sp500) AS largest_on,
    MIN(mag7_pct_of_sp500) AS smallest_pct,
    MIN_BY(trading_date, mag7_pct_of_sp500) AS smallest_on
FROM market_data.concentration_metrics

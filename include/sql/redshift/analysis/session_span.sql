-- Which sessions are loaded: the first, the last, how many rows, how many different sessions?
SELECT
    MIN(trading_date) AS earliest_session,
    MAX(trading_date) AS latest_session,
    COUNT(*) AS row_count,
    COUNT(DISTINCT trading_date) AS sessions
FROM market_data.concentration_metrics

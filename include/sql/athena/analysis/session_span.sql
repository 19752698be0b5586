-- Which sessions are stored: the first, the last, and how many?
SELECT
    MIN(trading_date) AS earliest_session,
    MAX(trading_date) AS latest_session,
    COUNT(DISTINCT trading_date) AS sessions
FROM market_data.concentration_metrics

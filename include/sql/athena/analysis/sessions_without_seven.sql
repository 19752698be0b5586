-- On which sessions are there not exactly seven companies?
SELECT
    metrics.trading_date,
    COUNT(DISTINCT details.ticker) AS companies
FROM market_data.concentration_metrics AS metrics
LEFT JOIN market_data.company_details AS details ON metrics.trading_date = details.trading_date
GROUP BY metrics.trading_date
HAVING COUNT(DISTINCT details.ticker) <> 7
ORDER BY metrics.trading_date

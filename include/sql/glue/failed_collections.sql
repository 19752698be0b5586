-- A row is a line that failed on a session, with its true reason; a clean session has no row.
SELECT
    CAST(trading_date AS DATE) AS trading_date,
    failed.ticker,
    failed.reason
FROM market_data
    LATERAL VIEW EXPLODE(sp500_details.failed_tickers) AS failed

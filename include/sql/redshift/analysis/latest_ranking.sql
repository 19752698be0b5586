-- How do the seven rank on the newest session, and what part of the group and of the index is each?
SELECT
    metrics.trading_date,
    metrics.ticker,
    details.company_name,
    metrics.market_cap,
    metrics.pct_of_mag7,
    metrics.pct_of_sp500,
    RANK() OVER (ORDER BY metrics.market_cap DESC) AS cap_rank
FROM market_data.magnificent7_metrics AS metrics
INNER JOIN market_data.company_details AS details
    ON
        metrics.trading_date = details.trading_date
        AND metrics.ticker = details.ticker
WHERE metrics.trading_date = (SELECT MAX(latest.trading_date) FROM market_data.magnificent7_metrics AS latest)
ORDER BY cap_rank

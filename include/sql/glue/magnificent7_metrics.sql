-- A row is one of the seven on a session, ranked by cap; outside the index it has no part of it.
SELECT
    CAST(trading_date AS DATE) AS trading_date,
    ranked.ticker,
    ranked.market_cap,
    ranked.pct_of_mag7,
    ranked.pct_of_sp500,
    ranked.ranking,
    ranked.in_index
FROM market_data
    LATERAL VIEW EXPLODE(rankings.by_market_cap) AS ranked

-- A row is a line of the index on a session, priced or failed: everything that the totals can be recomputed from.
SELECT
    CAST(trading_date AS DATE) AS trading_date,
    line.ticker,
    line.symbol,
    line.company,
    line.issuer,
    line.cik,
    line.sector,
    line.main_line,
    line.`close`,
    line.share_count,
    line.share_count_origin,
    line.market_cap,
    line.counted,
    line.provider_market_cap,
    nullif(array_join(line.flags, ','), '') AS flags,
    source
FROM market_data
LATERAL VIEW explode(constituents) AS line

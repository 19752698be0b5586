-- A row is a line of the index on a session, priced or failed: all that totals are recomputed from.
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
    NULLIF(ARRAY_JOIN(line.flags, ','), '') AS flags,
    source,
    line.split_factor
FROM market_data
    LATERAL VIEW EXPLODE(constituents) AS line

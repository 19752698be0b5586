-- A row is one of the seven on a session, prices as traded; timestamp is midnight New York in ms.
SELECT
    CAST(trading_date AS DATE) AS trading_date,
    ticker,
    company.trading_data.open_price AS `open`,
    company.trading_data.high_price AS high,
    company.trading_data.low_price AS low,
    company.trading_data.close_price AS `close`,
    company.trading_data.volume,
    company.trading_data.vwap,
    company.trading_data.`timestamp`
FROM market_data
    LATERAL VIEW EXPLODE(companies) AS ticker, company

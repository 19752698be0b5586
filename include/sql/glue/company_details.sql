-- A row is one of the seven on a session, as the provider describes it; a company that failed has no row.
SELECT
    CAST(trading_date AS DATE) AS trading_date,
    ticker,
    company.name AS company_name,
    company.market_cap,
    company.shares_outstanding,
    company.currency,
    company.description,
    company.cik,
    company.share_count_origin
FROM market_data
    LATERAL VIEW EXPLODE(companies) AS ticker, company

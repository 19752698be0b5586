-- Which of the seven had a market cap above 5 trillion or below 100 billion USD?
-- A question about the companies, not about the data: growth passes 5 trillion, and a wrong cap can lie far
-- below it (a share count four times too large made 1.3 trillion of Nvidia in 2020). What guards the data is
-- the company's part of the index, in the checks.
SELECT
    trading_date,
    ticker,
    company_name,
    market_cap
FROM market_data.company_details
WHERE market_cap > 5e12 OR market_cap < 1e11
ORDER BY trading_date, ticker

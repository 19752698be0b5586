-- Which of the seven had a market cap above 5 trillion or below 100 billion USD?
-- This is a question about the companies, not a check of the data: a right cap can exceed 5 trillion, and a
-- wrong one can be far below it (a share count four times too large gave Nvidia 1.3 trillion in 2020). The
-- checks bound each company's part of the index instead.
SELECT
    trading_date,
    ticker,
    company_name,
    market_cap
FROM market_data.company_details
WHERE market_cap > 5e12 OR market_cap < 1e11
ORDER BY trading_date, ticker

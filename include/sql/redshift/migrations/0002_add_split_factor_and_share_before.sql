-- By how much the provider's share count was divided to stand on the session's split basis; 1: not at all.
-- NULL for a line that failed, and in the rows of before, whose counts nobody compared with the splits.
ALTER TABLE {{ schema() }}.constituent_market_caps ADD COLUMN split_factor DOUBLE PRECISION;

-- The same companies' share of the index on the session before; NULL where it could not be had.
ALTER TABLE {{ schema() }}.concentration_metrics ADD COLUMN mag7_pct_of_sp500_before DOUBLE PRECISION;

-- A row is a session: the totals, the share of the seven, and what they rest on.
SELECT
    CAST(trading_date AS DATE) AS trading_date,
    concentration_metrics.total_mag7_market_cap,
    concentration_metrics.sp500_total_market_cap,
    concentration_metrics.mag7_pct_of_sp500,
    concentration_metrics.mag7_companies_count,
    concentration_metrics.mag7_in_index_market_cap,
    concentration_metrics.mag7_in_index_count,
    concentration_metrics.line_sum_market_cap,
    concentration_metrics.line_sum_mag7_pct,
    concentration_metrics.companies_expected,
    concentration_metrics.companies_priced,
    concentration_metrics.coverage_pct,
    concentration_metrics.hhi,
    concentration_metrics.effective_companies,
    concentration_metrics.top10_pct,
    concentration_metrics.quality,
    source,
    concentration_metrics.mag7_pct_of_sp500_before,
    concentration_metrics.membership_provisional,
    concentration_metrics.facts_version
FROM market_data

-- Check: enough of the index is priced, by companies and by market cap.
{% set least_companies = setting('minimum_companies_pct') | float %}
{% set least_cap = setting('minimum_cap_pct') | float %}
WITH covered AS (
    SELECT
        trading_date,
        companies_priced,
        companies_expected,
        coverage_pct
    FROM {{ staging_database() }}.concentration_metrics
    WHERE {{ in_window() }}
)

SELECT
    trading_date,
    'companies' AS subject,
    CAST(companies_priced AS VARCHAR) || ' of ' || CAST(companies_expected AS VARCHAR)
    || ' companies are priced, fewer than the {{ "%g" | format(least_companies) }} % bound' AS detail
FROM covered
WHERE NOT COALESCE(100 * companies_priced >= {{ least_companies }} * companies_expected, FALSE)
UNION ALL
SELECT
    trading_date,
    'coverage_pct' AS subject,
    COALESCE(CAST(CAST(coverage_pct AS DECIMAL(38, 2)) AS VARCHAR), 'an unknown part')
    || ' % of the market cap is priced, less than the {{ "%g" | format(least_cap) }} % bound' AS detail
FROM covered
WHERE NOT COALESCE(coverage_pct >= {{ least_cap }}, FALSE)
UNION ALL
SELECT
    trading_date,
    'coverage_pct' AS subject,
    CAST(CAST(coverage_pct AS DECIMAL(38, 2)) AS VARCHAR)
    || ' % of the market cap is more than all of it' AS detail
FROM covered
WHERE coverage_pct > 100

-- Check: totals and company counts agree with the lines: close x share count, counted once an issuer.
-- A sum of 503 doubles is exact to about 1e-13 of itself; 1e-9 leaves room for the order of addition only.
WITH {% include 'athena/recomputed_caps.jinja' %},

recomputed AS (
    SELECT
        trading_date,
        SUM(cap) AS total,
        COUNT(*) AS expected,
        COUNT(cap) AS priced
    FROM companies
    GROUP BY trading_date
),

line_sums AS (
    SELECT
        trading_date,
        IF(COUNT(cap) = COUNT(*), SUM(cap)) AS line_sum
    FROM lines
    GROUP BY trading_date
),

compared AS (
    SELECT
        metrics.trading_date,
        metrics.sp500_total_market_cap AS stored_total,
        metrics.line_sum_market_cap AS stored_line_sum,
        metrics.companies_expected AS stored_expected,
        metrics.companies_priced AS stored_priced,
        recomputed.total,
        line_sums.line_sum,
        COALESCE(recomputed.expected, 0) AS expected,
        COALESCE(recomputed.priced, 0) AS priced
    FROM {{ staging_database() }}.concentration_metrics AS metrics
    LEFT JOIN recomputed ON metrics.trading_date = recomputed.trading_date
    LEFT JOIN line_sums ON metrics.trading_date = line_sums.trading_date
    WHERE {{ in_window('metrics') }}
)

SELECT
    trading_date,
    'sp500_total_market_cap' AS subject,
    'the total by company is stored as '
    || COALESCE(CAST(CAST(stored_total AS DECIMAL(38, 2)) AS VARCHAR), 'NULL') || ', the lines give '
    || COALESCE(CAST(CAST(total AS DECIMAL(38, 2)) AS VARCHAR), 'nothing') AS detail
FROM compared
WHERE NOT COALESCE(ABS(stored_total - total) <= 1e-9 * total, FALSE)
UNION ALL
SELECT
    trading_date,
    'line_sum_market_cap' AS subject,
    'the line sum is stored as '
    || COALESCE(CAST(CAST(stored_line_sum AS DECIMAL(38, 2)) AS VARCHAR), 'NULL') || ', the lines give '
    || COALESCE(CAST(CAST(line_sum AS DECIMAL(38, 2)) AS VARCHAR), 'none, as one has no cap') AS detail
FROM compared
WHERE
    NOT COALESCE(ABS(stored_line_sum - line_sum) <= 1e-9 * line_sum, FALSE)
    AND NOT (stored_line_sum IS NULL AND line_sum IS NULL)
UNION ALL
SELECT
    trading_date,
    'companies_priced' AS subject,
    'the session has ' || COALESCE(CAST(stored_priced AS VARCHAR), 'NULL') || ' of '
    || COALESCE(CAST(stored_expected AS VARCHAR), 'NULL') || ' companies priced, the lines have '
    || CAST(priced AS VARCHAR) || ' of ' || CAST(expected AS VARCHAR) AS detail
FROM compared
WHERE NOT COALESCE(stored_priced = priced AND stored_expected = expected, FALSE)

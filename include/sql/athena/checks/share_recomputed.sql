-- Check: both shares of the index agree with those recomputed from the lines of the seven that are in it.
WITH {% include 'athena/recomputed_caps.jinja' %},

recomputed AS (
    SELECT
        trading_date,
        SUM(seven_cap) AS seven_cap,
        100 * SUM(seven_cap) / SUM(cap) AS pct
    FROM companies
    GROUP BY trading_date
),

line_sums AS (
    SELECT
        trading_date,
        IF(COUNT(cap) = COUNT(*), 100 * SUM(IF(in_seven, cap)) / SUM(cap)) AS pct
    FROM lines
    GROUP BY trading_date
),

compared AS (
    SELECT
        metrics.trading_date,
        metrics.mag7_in_index_market_cap AS stored_cap,
        metrics.mag7_pct_of_sp500 AS stored_pct,
        metrics.line_sum_mag7_pct AS stored_line_sum_pct,
        recomputed.seven_cap,
        recomputed.pct,
        line_sums.pct AS line_sum_pct
    FROM {{ staging_database() }}.concentration_metrics AS metrics
    LEFT JOIN recomputed ON metrics.trading_date = recomputed.trading_date
    LEFT JOIN line_sums ON metrics.trading_date = line_sums.trading_date
    WHERE {{ in_window('metrics') }}
)

SELECT
    trading_date,
    'mag7_in_index_market_cap' AS subject,
    'the seven in the index are stored as '
    || COALESCE(CAST(CAST(stored_cap AS DECIMAL(38, 2)) AS VARCHAR), 'NULL') || ', the lines give '
    || COALESCE(CAST(CAST(seven_cap AS DECIMAL(38, 2)) AS VARCHAR), 'nothing') AS detail
FROM compared
WHERE NOT COALESCE(ABS(stored_cap - seven_cap) <= 1e-9 * seven_cap, FALSE)
UNION ALL
SELECT
    trading_date,
    'mag7_pct_of_sp500' AS subject,
    'the share by company is stored as '
    || COALESCE(CAST(CAST(stored_pct AS DECIMAL(38, 6)) AS VARCHAR), 'NULL') || ' %, the lines give '
    || COALESCE(CAST(CAST(pct AS DECIMAL(38, 6)) AS VARCHAR) || ' %', 'nothing') AS detail
FROM compared
WHERE NOT COALESCE(ABS(stored_pct - pct) <= 1e-7, FALSE)
UNION ALL
SELECT
    trading_date,
    'line_sum_mag7_pct' AS subject,
    'the line-sum share is stored as '
    || COALESCE(CAST(CAST(stored_line_sum_pct AS DECIMAL(38, 6)) AS VARCHAR), 'NULL')
    || ' %, the lines give '
    || COALESCE(CAST(CAST(line_sum_pct AS DECIMAL(38, 6)) AS VARCHAR) || ' %', 'none') AS detail
FROM compared
WHERE
    NOT COALESCE(ABS(stored_line_sum_pct - line_sum_pct) <= 1e-7, FALSE)
    AND NOT (stored_line_sum_pct IS NULL AND line_sum_pct IS NULL)

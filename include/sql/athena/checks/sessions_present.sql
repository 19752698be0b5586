-- Check: every session of the window has exactly one row in concentration_metrics.
WITH wanted AS (
    SELECT asked.trading_date
    FROM UNNEST(ARRAY[{{ sessions() }}]) AS asked (trading_date)
),

found AS (
    SELECT
        trading_date,
        COUNT(*) AS row_count
    FROM {{ staging_database() }}.concentration_metrics
    WHERE {{ in_window() }}
    GROUP BY trading_date
)

SELECT
    wanted.trading_date,
    CAST(NULL AS VARCHAR) AS subject,
    'concentration_metrics has ' || CAST(COALESCE(found.row_count, 0) AS VARCHAR)
    || ' rows of the session instead of one' AS detail
FROM wanted
LEFT JOIN found ON wanted.trading_date = found.trading_date
WHERE COALESCE(found.row_count, 0) <> 1

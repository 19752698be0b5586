-- Check: the ranks of the seven are 1 to 7 without gaps, the largest market cap first.
WITH ranked AS (
    SELECT
        trading_date,
        ticker,
        ranking,
        market_cap,
        LAG(market_cap) OVER (PARTITION BY trading_date ORDER BY ranking) AS cap_before
    FROM {{ staging_database() }}.magnificent7_metrics
    WHERE {{ in_window() }}
),

listed AS (
    SELECT
        trading_date,
        ARRAY_JOIN(ARRAY_AGG(CAST(ranking AS VARCHAR) ORDER BY ranking), ', ') AS ranks
    FROM ranked
    GROUP BY trading_date
)

SELECT
    trading_date,
    CAST(NULL AS VARCHAR) AS subject,
    'the ranks are ' || ranks || ' instead of 1 to 7' AS detail
FROM listed
WHERE ranks <> '1, 2, 3, 4, 5, 6, 7'
UNION ALL
SELECT
    trading_date,
    ticker AS subject,
    ticker || ' has rank ' || CAST(ranking AS VARCHAR) || ' and a larger market cap ('
    || CAST(CAST(market_cap AS DECIMAL(38, 2)) AS VARCHAR) || ') than the rank before ('
    || CAST(CAST(cap_before AS DECIMAL(38, 2)) AS VARCHAR) || ')' AS detail
FROM ranked
WHERE market_cap > cap_before

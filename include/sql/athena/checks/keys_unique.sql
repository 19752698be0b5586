-- Check: no table holds two rows of one key.
WITH counted AS (
    SELECT
        trading_date,
        CAST(NULL AS VARCHAR) AS subject,
        'concentration_metrics' AS table_name,
        COUNT(*) AS row_count
    FROM {{ staging_database() }}.concentration_metrics
    WHERE
        run = '{{ run() }}'
        AND trading_date IN ({{ sessions() }})
    GROUP BY trading_date
    UNION ALL
    SELECT
        trading_date,
        ticker AS subject,
        'company_details' AS table_name,
        COUNT(*) AS row_count
    FROM {{ staging_database() }}.company_details
    WHERE
        run = '{{ run() }}'
        AND trading_date IN ({{ sessions() }})
    GROUP BY trading_date, ticker
    UNION ALL
    SELECT
        trading_date,
        ticker AS subject,
        'daily_trading' AS table_name,
        COUNT(*) AS row_count
    FROM {{ staging_database() }}.daily_trading
    WHERE
        run = '{{ run() }}'
        AND trading_date IN ({{ sessions() }})
    GROUP BY trading_date, ticker
    UNION ALL
    SELECT
        trading_date,
        ticker AS subject,
        'magnificent7_metrics' AS table_name,
        COUNT(*) AS row_count
    FROM {{ staging_database() }}.magnificent7_metrics
    WHERE
        run = '{{ run() }}'
        AND trading_date IN ({{ sessions() }})
    GROUP BY trading_date, ticker
    UNION ALL
    SELECT
        trading_date,
        ticker AS subject,
        'failed_collections' AS table_name,
        COUNT(*) AS row_count
    FROM {{ staging_database() }}.failed_collections
    WHERE
        run = '{{ run() }}'
        AND trading_date IN ({{ sessions() }})
    GROUP BY trading_date, ticker
    UNION ALL
    SELECT
        trading_date,
        ticker AS subject,
        'constituent_market_caps' AS table_name,
        COUNT(*) AS row_count
    FROM {{ staging_database() }}.constituent_market_caps
    WHERE
        run = '{{ run() }}'
        AND trading_date IN ({{ sessions() }})
    GROUP BY trading_date, ticker
)

SELECT
    trading_date,
    subject,
    table_name || ' holds ' || CAST(row_count AS VARCHAR) || ' rows'
    || COALESCE(' of ' || subject, ' of the session') || ' instead of one' AS detail
FROM counted
WHERE row_count > 1

-- Check: the market cap of each of the seven is at least the bound of the settings.
{% set least = setting('minimum_mag7_company_cap') | float %}
WITH caps AS (
    SELECT
        trading_date,
        ticker,
        'company_details' AS table_name,
        market_cap
    FROM {{ staging_database() }}.company_details
    WHERE
        run = '{{ run() }}'
        AND trading_date IN ({{ sessions() }})
    UNION ALL
    SELECT
        trading_date,
        ticker,
        'magnificent7_metrics' AS table_name,
        market_cap
    FROM {{ staging_database() }}.magnificent7_metrics
    WHERE
        run = '{{ run() }}'
        AND trading_date IN ({{ sessions() }})
)

SELECT
    trading_date,
    ticker AS subject,
    ticker || ' has a market cap of ' || CAST(CAST(market_cap AS DECIMAL(38, 2)) AS VARCHAR) || ' USD in '
    || table_name || ', less than the {{ "%.0f" | format(least) }} USD bound' AS detail
FROM caps
WHERE market_cap < {{ least }}

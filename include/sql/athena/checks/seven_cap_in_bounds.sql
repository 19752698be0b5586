-- Check: the market cap of each of the seven is at least the bound of the settings.
{% set least = setting('minimum_mag7_company_cap') | float %}
WITH caps AS (
    {% for table in ('company_details', 'magnificent7_metrics') %}
        SELECT
            trading_date,
            ticker,
            '{{ table }}' AS table_name,
            market_cap
        FROM {{ staging_database() }}.{{ table }}
        WHERE {{ in_window() }}
        {{ 'UNION ALL' if not loop.last }}
    {% endfor %}
)

SELECT
    trading_date,
    ticker AS subject,
    ticker || ' has a market cap of ' || CAST(CAST(market_cap AS DECIMAL(38, 2)) AS VARCHAR) || ' USD in '
    || table_name || ', less than the {{ "%.0f" | format(least) }} USD bound' AS detail
FROM caps
WHERE market_cap < {{ least }}

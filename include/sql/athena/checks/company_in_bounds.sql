-- Check: no single company is a larger part of the index than the bound of the settings.
{% set largest = setting('maximum_company_pct') | float %}
WITH parts AS (
    SELECT
        trading_date,
        ticker,
        100 * market_cap / SUM(market_cap) OVER (PARTITION BY trading_date) AS pct
    FROM {{ staging_database() }}.constituent_market_caps
    WHERE
        {{ in_window() }}
        AND main_line
)

SELECT
    trading_date,
    ticker AS subject,
    ticker || ' is ' || CAST(CAST(pct AS DECIMAL(38, 2)) AS VARCHAR)
    || ' % of the index, more than the {{ "%g" | format(largest) }} % bound' AS detail
FROM parts
WHERE pct > {{ largest }}

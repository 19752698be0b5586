-- Check: the share of the index moved by no more than the bound of the settings since the session before.
-- Where the share of the session before is not known (NULL) nothing is compared.
{% set largest = setting('maximum_share_change') | float %}
WITH shares AS (
    SELECT
        trading_date,
        mag7_pct_of_sp500 AS pct,
        mag7_pct_of_sp500_before AS pct_before
    FROM {{ staging_database() }}.concentration_metrics
    WHERE {{ in_window() }}
)

SELECT
    trading_date,
    'mag7_pct_of_sp500' AS subject,
    'mag7_pct_of_sp500 is ' || CAST(CAST(pct AS DECIMAL(38, 2)) AS VARCHAR) || ' % after '
    || CAST(CAST(pct_before AS DECIMAL(38, 2)) AS VARCHAR)
    || ' % on the session before, a move of more than the {{ "%g" | format(largest) }} points bound' AS detail
FROM shares
WHERE ABS(pct - pct_before) > {{ largest }}

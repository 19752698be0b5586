{# The warehouse's side of the reconciliation: rows by table and session, sums of the money columns. #}
SELECT
    'concentration_metrics' AS table_name,
    trading_date,
    COUNT(*) AS row_count,
    COALESCE(SUM(sp500_total_market_cap), 0) AS total
FROM {{ schema() }}.concentration_metrics
WHERE trading_date IN ({{ sessions() }})
GROUP BY trading_date
UNION ALL
SELECT
    'company_details' AS table_name,
    trading_date,
    COUNT(*) AS row_count,
    COALESCE(SUM(market_cap), 0) AS total
FROM {{ schema() }}.company_details
WHERE trading_date IN ({{ sessions() }})
GROUP BY trading_date
UNION ALL
SELECT
    'daily_trading' AS table_name,
    trading_date,
    COUNT(*) AS row_count,
    COALESCE(SUM("close"), 0) AS total
FROM {{ schema() }}.daily_trading
WHERE trading_date IN ({{ sessions() }})
GROUP BY trading_date
UNION ALL
SELECT
    'magnificent7_metrics' AS table_name,
    trading_date,
    COUNT(*) AS row_count,
    COALESCE(SUM(market_cap), 0) AS total
FROM {{ schema() }}.magnificent7_metrics
WHERE trading_date IN ({{ sessions() }})
GROUP BY trading_date
UNION ALL
SELECT
    'failed_collections' AS table_name,
    trading_date,
    COUNT(*) AS row_count,
    CAST(0 AS DOUBLE PRECISION) AS total
FROM {{ schema() }}.failed_collections
WHERE trading_date IN ({{ sessions() }})
GROUP BY trading_date
UNION ALL
SELECT
    'constituent_market_caps' AS table_name,
    trading_date,
    COUNT(*) AS row_count,
    COALESCE(SUM(market_cap), 0) AS total
FROM {{ schema() }}.constituent_market_caps
WHERE trading_date IN ({{ sessions() }})
GROUP BY trading_date
ORDER BY table_name, trading_date

-- Check: prices, share counts, market caps and parts are above zero.
WITH examined AS (
    SELECT
        trading_date,
        CAST(NULL AS VARCHAR) AS subject,
        'concentration_metrics' AS table_name,
        CONCAT_WS(
            ', ',
            IF(total_mag7_market_cap <= 0, 'total_mag7_market_cap'),
            IF(sp500_total_market_cap <= 0, 'sp500_total_market_cap'),
            IF(mag7_pct_of_sp500 <= 0, 'mag7_pct_of_sp500'),
            IF(mag7_in_index_market_cap <= 0, 'mag7_in_index_market_cap'),
            IF(line_sum_market_cap <= 0, 'line_sum_market_cap'),
            IF(line_sum_mag7_pct <= 0, 'line_sum_mag7_pct'),
            IF(hhi <= 0, 'hhi'),
            IF(effective_companies <= 0, 'effective_companies'),
            IF(top10_pct <= 0, 'top10_pct')
        ) AS wrong
    FROM {{ staging_database() }}.concentration_metrics
    WHERE
        run = '{{ run() }}'
        AND trading_date IN ({{ sessions() }})
    UNION ALL
    SELECT
        trading_date,
        ticker AS subject,
        'company_details' AS table_name,
        CONCAT_WS(
            ', ',
            IF(market_cap <= 0, 'market_cap'),
            IF(shares_outstanding <= 0, 'shares_outstanding')
        ) AS wrong
    FROM {{ staging_database() }}.company_details
    WHERE
        run = '{{ run() }}'
        AND trading_date IN ({{ sessions() }})
    UNION ALL
    SELECT
        trading_date,
        ticker AS subject,
        'daily_trading' AS table_name,
        CONCAT_WS(
            ', ',
            IF("open" <= 0, 'open'),
            IF(high <= 0, 'high'),
            IF(low <= 0, 'low'),
            IF("close" <= 0, 'close'),
            IF(volume <= 0, 'volume'),
            IF(vwap <= 0, 'vwap')
        ) AS wrong
    FROM {{ staging_database() }}.daily_trading
    WHERE
        run = '{{ run() }}'
        AND trading_date IN ({{ sessions() }})
    UNION ALL
    SELECT
        trading_date,
        ticker AS subject,
        'magnificent7_metrics' AS table_name,
        CONCAT_WS(
            ', ',
            IF(market_cap <= 0, 'market_cap'),
            IF(pct_of_mag7 <= 0, 'pct_of_mag7'),
            IF(pct_of_sp500 <= 0, 'pct_of_sp500')
        ) AS wrong
    FROM {{ staging_database() }}.magnificent7_metrics
    WHERE
        run = '{{ run() }}'
        AND trading_date IN ({{ sessions() }})
    UNION ALL
    SELECT
        trading_date,
        ticker AS subject,
        'constituent_market_caps' AS table_name,
        CONCAT_WS(
            ', ',
            IF("close" <= 0, 'close'),
            IF(share_count <= 0, 'share_count'),
            IF(market_cap <= 0, 'market_cap')
        ) AS wrong
    FROM {{ staging_database() }}.constituent_market_caps
    WHERE
        run = '{{ run() }}'
        AND trading_date IN ({{ sessions() }})
)

SELECT
    trading_date,
    subject,
    table_name || ' has zero or less in ' || wrong || COALESCE(' of ' || subject, '') AS detail
FROM examined
WHERE wrong <> ''

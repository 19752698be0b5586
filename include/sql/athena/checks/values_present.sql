-- Check: no required column is NULL, and a line has no cap only where its failure is recorded.
WITH examined AS (
    SELECT
        trading_date,
        CAST(NULL AS VARCHAR) AS subject,
        'concentration_metrics' AS table_name,
        CONCAT_WS(
            ', ',
            IF(total_mag7_market_cap IS NULL, 'total_mag7_market_cap'),
            IF(sp500_total_market_cap IS NULL, 'sp500_total_market_cap'),
            IF(mag7_pct_of_sp500 IS NULL, 'mag7_pct_of_sp500'),
            IF(mag7_companies_count IS NULL, 'mag7_companies_count'),
            IF(mag7_in_index_market_cap IS NULL, 'mag7_in_index_market_cap'),
            IF(mag7_in_index_count IS NULL, 'mag7_in_index_count'),
            IF(companies_expected IS NULL, 'companies_expected'),
            IF(companies_priced IS NULL, 'companies_priced'),
            IF(coverage_pct IS NULL, 'coverage_pct'),
            IF(hhi IS NULL, 'hhi'),
            IF(effective_companies IS NULL, 'effective_companies'),
            IF(top10_pct IS NULL, 'top10_pct'),
            IF(quality IS NULL, 'quality'),
            IF(source IS NULL, 'source')
        ) AS missing
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
            IF(ticker IS NULL, 'ticker'),
            IF(company_name IS NULL, 'company_name'),
            IF(market_cap IS NULL, 'market_cap'),
            IF(shares_outstanding IS NULL, 'shares_outstanding'),
            IF(share_count_origin IS NULL, 'share_count_origin')
        ) AS missing
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
            IF(ticker IS NULL, 'ticker'),
            IF("open" IS NULL, 'open'),
            IF(high IS NULL, 'high'),
            IF(low IS NULL, 'low'),
            IF("close" IS NULL, 'close'),
            IF(volume IS NULL, 'volume'),
            IF("timestamp" IS NULL, 'timestamp')
        ) AS missing
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
            IF(ticker IS NULL, 'ticker'),
            IF(market_cap IS NULL, 'market_cap'),
            IF(pct_of_mag7 IS NULL, 'pct_of_mag7'),
            IF(ranking IS NULL, 'ranking'),
            IF(in_index IS NULL, 'in_index')
        ) AS missing
    FROM {{ staging_database() }}.magnificent7_metrics
    WHERE
        run = '{{ run() }}'
        AND trading_date IN ({{ sessions() }})
    UNION ALL
    SELECT
        trading_date,
        ticker AS subject,
        'failed_collections' AS table_name,
        CONCAT_WS(
            ', ',
            IF(ticker IS NULL, 'ticker'),
            IF(reason IS NULL, 'reason')
        ) AS missing
    FROM {{ staging_database() }}.failed_collections
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
            IF(ticker IS NULL, 'ticker'),
            IF(symbol IS NULL, 'symbol'),
            IF(company IS NULL, 'company'),
            IF(issuer IS NULL, 'issuer'),
            IF(sector IS NULL, 'sector'),
            IF(main_line IS NULL, 'main_line'),
            IF(counted IS NULL, 'counted'),
            IF(source IS NULL, 'source')
        ) AS missing
    FROM {{ staging_database() }}.constituent_market_caps
    WHERE
        run = '{{ run() }}'
        AND trading_date IN ({{ sessions() }})
),

unpriced AS (
    SELECT
        line.trading_date,
        line.ticker
    FROM {{ staging_database() }}.constituent_market_caps AS line
    LEFT JOIN {{ staging_database() }}.failed_collections AS failed
        ON
            line.trading_date = failed.trading_date
            AND line.ticker = failed.ticker
            AND failed.run = '{{ run() }}'
            AND failed.trading_date IN ({{ sessions() }})
    WHERE
        line.run = '{{ run() }}'
        AND line.trading_date IN ({{ sessions() }})
        AND (line.market_cap IS NULL OR line.share_count IS NULL OR line."close" IS NULL)
        AND failed.ticker IS NULL
)

SELECT
    trading_date,
    subject,
    table_name || ' lacks ' || missing || COALESCE(' of ' || subject, '') AS detail
FROM examined
WHERE missing <> ''
UNION ALL
SELECT
    trading_date,
    ticker AS subject,
    ticker || ' lacks its close, share count or market cap, and failed_collections gives no reason' AS detail
FROM unpriced

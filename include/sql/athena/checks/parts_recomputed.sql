-- Check: the parts of the seven add up to 100 %, and each company's cap and part agree with its other rows.
WITH ranked AS (
    SELECT
        trading_date,
        ticker,
        market_cap,
        pct_of_mag7,
        pct_of_sp500
    FROM {{ staging_database() }}.magnificent7_metrics
    WHERE {{ in_window() }}
),

sums AS (
    SELECT
        trading_date,
        SUM(pct_of_mag7) AS pct,
        SUM(market_cap) AS cap
    FROM ranked
    GROUP BY trading_date
),

compared AS (
    SELECT
        ranked.trading_date,
        ranked.ticker,
        ranked.market_cap,
        ranked.pct_of_sp500,
        trading."close" * details.shares_outstanding AS traded_cap,
        100 * line.market_cap / metrics.sp500_total_market_cap AS line_pct
    FROM ranked
    LEFT JOIN {{ staging_database() }}.daily_trading AS trading
        ON
            ranked.trading_date = trading.trading_date
            AND ranked.ticker = trading.ticker
            AND {{ in_window('trading') }}
    LEFT JOIN {{ staging_database() }}.company_details AS details
        ON
            ranked.trading_date = details.trading_date
            AND ranked.ticker = details.ticker
            AND {{ in_window('details') }}
    LEFT JOIN {{ staging_database() }}.constituent_market_caps AS line
        ON
            ranked.trading_date = line.trading_date
            AND ranked.ticker = line.ticker
            AND {{ in_window('line') }}
    LEFT JOIN {{ staging_database() }}.concentration_metrics AS metrics
        ON
            ranked.trading_date = metrics.trading_date
            AND {{ in_window('metrics') }}
)

SELECT
    trading_date,
    'pct_of_mag7' AS subject,
    'the parts of the seven add up to ' || CAST(CAST(pct AS DECIMAL(38, 6)) AS VARCHAR) || ' %' AS detail
FROM sums
WHERE NOT COALESCE(ABS(pct - 100) <= 1e-7, FALSE)
UNION ALL
SELECT
    sums.trading_date,
    'total_mag7_market_cap' AS subject,
    'the total of the seven is stored as '
    || CAST(CAST(metrics.total_mag7_market_cap AS DECIMAL(38, 2)) AS VARCHAR) || ', their caps give '
    || CAST(CAST(sums.cap AS DECIMAL(38, 2)) AS VARCHAR) AS detail
FROM sums
INNER JOIN {{ staging_database() }}.concentration_metrics AS metrics
    ON
        sums.trading_date = metrics.trading_date
        AND {{ in_window('metrics') }}
WHERE NOT COALESCE(ABS(metrics.total_mag7_market_cap - sums.cap) <= 1e-9 * sums.cap, FALSE)
UNION ALL
SELECT
    trading_date,
    ticker AS subject,
    ticker || ' is ranked by a market cap of ' || CAST(CAST(market_cap AS DECIMAL(38, 2)) AS VARCHAR)
    || ', its close x shares outstanding give '
    || COALESCE(CAST(CAST(traded_cap AS DECIMAL(38, 2)) AS VARCHAR), 'nothing') AS detail
FROM compared
WHERE NOT COALESCE(ABS(market_cap - traded_cap) <= 1e-9 * traded_cap, FALSE)
UNION ALL
SELECT
    trading_date,
    ticker AS subject,
    ticker || ' is stored as ' || COALESCE(CAST(CAST(pct_of_sp500 AS DECIMAL(38, 6)) AS VARCHAR), 'NULL')
    || ' % of the index, its line gives '
    || COALESCE(CAST(CAST(line_pct AS DECIMAL(38, 6)) AS VARCHAR) || ' %', 'none') AS detail
FROM compared
WHERE
    NOT COALESCE(ABS(pct_of_sp500 - line_pct) <= 1e-7, FALSE)
    AND NOT (pct_of_sp500 IS NULL AND line_pct IS NULL)

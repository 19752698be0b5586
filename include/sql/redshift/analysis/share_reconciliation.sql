-- On which sessions does the stored share differ by more than 0.01 percentage points from that of its lines?
-- The other side rests on constituent_market_caps alone: close x share count of the main lines, once an
-- issuer. A session without lines is listed too. No row means that every stored share can be recomputed.
WITH companies AS (
    SELECT
        trading_date,
        issuer,
        MAX(CASE WHEN main_line THEN "close" * share_count END) AS cap,
        MAX(
            CASE
                WHEN main_line AND ticker IN ('AAPL', 'MSFT', 'GOOGL', 'AMZN', 'NVDA', 'META', 'TSLA')
                    THEN "close" * share_count
            END
        ) AS seven_cap
    FROM market_data.constituent_market_caps
    GROUP BY trading_date, issuer
),

recomputed AS (
    SELECT
        trading_date,
        100 * SUM(seven_cap) / SUM(cap) AS pct
    FROM companies
    GROUP BY trading_date
)

SELECT
    metrics.trading_date,
    metrics.mag7_pct_of_sp500 AS stored_pct,
    recomputed.pct AS recomputed_pct,
    metrics.mag7_pct_of_sp500 - recomputed.pct AS difference
FROM market_data.concentration_metrics AS metrics
LEFT JOIN recomputed ON metrics.trading_date = recomputed.trading_date
WHERE
    recomputed.pct IS NULL
    OR ABS(metrics.mag7_pct_of_sp500 - recomputed.pct) > 0.01
ORDER BY metrics.trading_date

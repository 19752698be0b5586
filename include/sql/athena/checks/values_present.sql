-- Check: no required column is NULL, and a line has no cap only where its failure is recorded.
WITH examined AS (
    {% for table in list_tables() %}
        SELECT
            trading_date,
            {{ table.subject_column or 'CAST(NULL AS VARCHAR)' }} AS subject,
            '{{ table.name }}' AS table_name,
            CONCAT_WS(
                ', ',
                {% for column in table.required_columns %}
                    IF("{{ column.name }}" IS NULL, '{{ column.name }}'){{ ',' if not loop.last }}
                {% endfor %}
            ) AS missing
        FROM {{ staging_database() }}.{{ table.name }}
        WHERE {{ in_window() }}
        {{ 'UNION ALL' if not loop.last }}
    {% endfor %}
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
            AND {{ in_window('failed') }}
    WHERE
        {{ in_window('line') }}
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

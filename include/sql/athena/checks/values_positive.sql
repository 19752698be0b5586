-- Check: prices, share counts, market caps and parts are above zero.
WITH examined AS (
    {% for table in list_tables() if table.positive_columns %}
        SELECT
            trading_date,
            {{ table.subject_column or 'CAST(NULL AS VARCHAR)' }} AS subject,
            '{{ table.name }}' AS table_name,
            CONCAT_WS(
                ', ',
                {% for column in table.positive_columns %}
                    IF("{{ column.name }}" <= 0, '{{ column.name }}'){{ ',' if not loop.last }}
                {% endfor %}
            ) AS wrong
        FROM {{ staging_database() }}.{{ table.name }}
        WHERE {{ in_window() }}
        {{ 'UNION ALL' if not loop.last }}
    {% endfor %}
)

SELECT
    trading_date,
    subject,
    table_name || ' has zero or less in ' || wrong || COALESCE(' of ' || subject, '') AS detail
FROM examined
WHERE wrong <> ''

-- Check: no table holds two rows of one key.
WITH counted AS (
    {% for table in list_tables() %}
        SELECT
            trading_date,
            {{ table.subject_column or 'CAST(NULL AS VARCHAR)' }} AS subject,
            '{{ table.name }}' AS table_name,
            COUNT(*) AS row_count
        FROM {{ staging_database() }}.{{ table.name }}
        WHERE {{ in_window() }}
        GROUP BY {{ table.key | join(', ') }}
        {{ 'UNION ALL' if not loop.last }}
    {% endfor %}
)

SELECT
    trading_date,
    subject,
    table_name || ' holds ' || CAST(row_count AS VARCHAR) || ' rows'
    || COALESCE(' of ' || subject, ' of the session') || ' instead of one' AS detail
FROM counted
WHERE row_count > 1

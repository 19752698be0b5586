{# The warehouse's side of the reconciliation: rows by table and session, sums of the money columns. The
sessions are listed once, because a statement is limited to 100 KB and a window may span years. #}
WITH counted AS (
    {% for table in list_tables() %}
        SELECT
            '{{ table.name }}' AS table_name,
            trading_date,
            COUNT(*) AS row_count,
            {% if table.money_column %}
                COALESCE(SUM("{{ table.money_column }}"), 0) AS total
            {% else %}
                CAST(0 AS DOUBLE PRECISION) AS total
            {% endif %}
        FROM {{ schema() }}.{{ table.name }}
        GROUP BY trading_date
        {{ 'UNION ALL' if not loop.last }}
    {% endfor %}
)

SELECT
    table_name,
    trading_date,
    row_count,
    total
FROM counted
WHERE trading_date IN ({{ sessions() }})
ORDER BY table_name, trading_date

{# The warehouse's side of the reconciliation: rows by table and session, sums of the money columns. #}
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
    WHERE trading_date IN ({{ sessions() }})
    GROUP BY trading_date
    {{ 'UNION ALL' if not loop.last }}
{% endfor %}
ORDER BY table_name, trading_date

-- Check: each table about the seven holds exactly seven companies, and concentration_metrics counts seven.
{% set tables_of_the_seven = ('company_details', 'daily_trading', 'magnificent7_metrics') %}
WITH wanted AS (
    SELECT
        asked.trading_date,
        named.table_name
    FROM UNNEST(ARRAY[{{ sessions() }}]) AS asked (trading_date)
    CROSS JOIN
        (
            VALUES
            {% for table in tables_of_the_seven %}
                ('{{ table }}'),
            {% endfor %}
            ('concentration_metrics')
        ) AS named (table_name)
),

found AS (
    {% for table in tables_of_the_seven %}
        SELECT
            '{{ table }}' AS table_name,
            trading_date,
            COUNT(DISTINCT ticker) AS companies
        FROM {{ staging_database() }}.{{ table }}
        WHERE {{ in_window() }}
        GROUP BY trading_date
        UNION ALL
    {% endfor %}
    SELECT
        'concentration_metrics' AS table_name,
        trading_date,
        CAST(MIN(mag7_companies_count) AS BIGINT) AS companies
    FROM {{ staging_database() }}.concentration_metrics
    WHERE {{ in_window() }}
    GROUP BY trading_date
)

SELECT
    wanted.trading_date,
    CAST(NULL AS VARCHAR) AS subject,
    wanted.table_name || ' holds ' || CAST(COALESCE(found.companies, 0) AS VARCHAR)
    || ' of the seven companies' AS detail
FROM wanted
LEFT JOIN found
    ON
        wanted.trading_date = found.trading_date
        AND wanted.table_name = found.table_name
WHERE COALESCE(found.companies, 0) <> 7

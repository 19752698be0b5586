{# How many rows a table has of each session, and how many of them repeat another row's key. #}
SELECT
    trading_date,
    SUM(copies) AS row_count,
    SUM(copies) - COUNT(*) AS duplicates
FROM (
    SELECT
        {{ table.key | join(', ') }},
        COUNT(*) AS copies
    FROM {{ schema }}.{{ table.name }}
    GROUP BY {{ table.key | join(', ') }}
) AS keyed
GROUP BY trading_date
ORDER BY trading_date

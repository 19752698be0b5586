{# The reconciliation of splits: how many rows the warehouse has of each, and its ratio. The whole table is
read: it is small, and a split belongs to no session. #}
SELECT
    issuer,
    execution_date,
    COUNT(*) AS row_count,
    SUM(split_to / split_from) AS total
FROM {{ schema() }}.splits
GROUP BY issuer, execution_date
ORDER BY issuer, execution_date

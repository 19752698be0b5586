{# The reconciliation of splits: how often the warehouse holds each, and its ratio. The whole table, which is
small: a split belongs to no session, so a window does not say which are its own. #}
SELECT
    issuer,
    execution_date,
    COUNT(*) AS row_count,
    SUM(split_to / split_from) AS total
FROM {{ schema() }}.splits
GROUP BY issuer, execution_date
ORDER BY issuer, execution_date

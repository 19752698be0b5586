{# Every column that the schema holds, in its table's order. #}
SELECT
    table_name,
    column_name,
    data_type
FROM information_schema.columns
WHERE table_schema = '{{ schema() }}'
ORDER BY table_name, ordinal_position

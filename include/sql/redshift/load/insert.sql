{# Columns are named, never SELECT *, so a column that is added later cannot shift the others. #}
INSERT INTO {{ schema() }}.{{ table }} ({{ columns }})
SELECT {{ columns }}
FROM {{ table }}_staging

{# The applied migrations, oldest first. #}
SELECT
    version,
    file_name,
    digest
FROM {{ schema() }}.schema_version
ORDER BY version

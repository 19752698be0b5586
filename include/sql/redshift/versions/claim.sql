{# NULL unless the version before is the newest: the column refuses it and the migration is rolled back. #}
INSERT INTO {{ schema() }}.schema_version (version, file_name, digest, applied_at)
SELECT
    CASE WHEN COALESCE(MAX(version), 0) = {{ version }} - 1 THEN {{ version }} END AS next_version,
    '{{ file_name }}' AS file_name,
    '{{ digest }}' AS digest,
    GETDATE() AS applied_at
FROM {{ schema() }}.schema_version

{# COPY maps Parquet columns by position; the manifest names exactly the files of the window. #}
COPY {{ table }}_staging
FROM '{{ manifest(table) }}'
IAM_ROLE '{{ copy_role() }}'
FORMAT AS PARQUET
MANIFEST

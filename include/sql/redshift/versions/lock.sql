{# Lock schema_version first, so that two setups wait for each other; then tables, in the order of a load. #}
LOCK TABLE {{ tables }}

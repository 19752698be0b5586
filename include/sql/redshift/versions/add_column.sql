{# For tables that stood before the versions did. NULL in the rows that are there: nobody knows its value. #}
ALTER TABLE {{ schema() }}.{{ table }} ADD COLUMN "{{ column }}" {{ type }}

{# Staging of the window's rows. LIKE also copies NOT NULL, so a file that violates it fails the load. #}
CREATE TEMPORARY TABLE {{ table }}_staging (LIKE {{ schema() }}.{{ table }})

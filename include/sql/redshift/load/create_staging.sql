{# The window's rows arrive here; LIKE also takes over NOT NULL, so a file that breaks it stops the load. #}
CREATE TEMPORARY TABLE {{ table }}_staging (LIKE {{ schema() }}.{{ table }})

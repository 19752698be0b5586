{# The sessions are listed, so a refused session keeps its rows. #}
DELETE FROM {{ schema() }}.{{ table }}
WHERE trading_date IN ({{ sessions() }})

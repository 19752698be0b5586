{# The sessions are named: one that was refused keeps what it had. #}
DELETE FROM {{ schema() }}.{{ table }}
WHERE trading_date IN ({{ sessions() }})

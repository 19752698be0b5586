{# One order for every load: two of them wait for each other instead of failing with error 1023. #}
LOCK TABLE
{{ schema() }}.concentration_metrics,
{{ schema() }}.company_details,
{{ schema() }}.daily_trading,
{{ schema() }}.magnificent7_metrics,
{{ schema() }}.failed_collections,
{{ schema() }}.constituent_market_caps

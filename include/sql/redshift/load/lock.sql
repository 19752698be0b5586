-- Every load locks the targets in this one order, so that two of them wait for each other instead of failing.
LOCK TABLE
    {{ schema() }}.concentration_metrics,
    {{ schema() }}.company_details,
    {{ schema() }}.daily_trading,
    {{ schema() }}.magnificent7_metrics,
    {{ schema() }}.failed_collections,
    {{ schema() }}.constituent_market_caps

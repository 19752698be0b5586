-- Check: the share of the seven, by company and by line sum, lies between the bounds of the settings.
{% set least = setting('minimum_mag7_pct') | float %}
{% set largest = setting('maximum_mag7_pct') | float %}
WITH shares AS (
    {% for column in ('mag7_pct_of_sp500', 'line_sum_mag7_pct') %}
        SELECT
            trading_date,
            '{{ column }}' AS subject,
            {{ column }} AS pct
        FROM {{ staging_database() }}.concentration_metrics
        WHERE {{ in_window() }}
        {{ 'UNION ALL' if not loop.last }}
    {% endfor %}
)

SELECT
    trading_date,
    subject,
    subject || ' is ' || CAST(CAST(pct AS DECIMAL(38, 2)) AS VARCHAR)
    || ' %, outside the bounds {{ "%g" | format(least) }} and {{ "%g" | format(largest) }} %' AS detail
FROM shares
WHERE pct NOT BETWEEN {{ least }} AND {{ largest }}

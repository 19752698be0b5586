{# Every load locks in the same order, so two loads wait for each other instead of failing with error 1023. #}
LOCK TABLE
{% for table in list_published_tables() -%}
    {{ schema() }}.{{ table.name }}{{ ',' if not loop.last }}
{% endfor %}

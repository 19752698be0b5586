{# By company and day: a split that this run does not know stays, one with another ratio is replaced. #}
DELETE FROM {{ schema() }}.splits
USING splits_staging
WHERE
    splits.issuer = splits_staging.issuer
    AND splits.execution_date = splits_staging.execution_date

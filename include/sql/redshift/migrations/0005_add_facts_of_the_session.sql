-- Whether the session's members are those of the newest list, carried forward until a source confirms them.
ALTER TABLE {{ schema() }}.concentration_metrics
ADD COLUMN membership_provisional BOOLEAN DEFAULT FALSE NOT NULL;

-- The version of the facts (members, symbols, CIKs, splits, references, closures) that the session rests on;
-- NULL in the rows of before.
ALTER TABLE {{ schema() }}.concentration_metrics ADD COLUMN facts_version VARCHAR(64);

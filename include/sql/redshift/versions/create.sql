-- A row is a migration that was applied; see redshift/migrations/README.md.
CREATE TABLE IF NOT EXISTS {{ schema() }}.schema_version (
    version INTEGER NOT NULL,
    file_name VARCHAR(128) NOT NULL,
    digest VARCHAR(64) NOT NULL,
    applied_at TIMESTAMP NOT NULL,
    PRIMARY KEY (version)
)
DISTSTYLE AUTO
COMPOUND SORTKEY (version)

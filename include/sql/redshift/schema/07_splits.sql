-- A row is a split of a company: split_from shares became split_to, traded as such from execution_date on.
-- It belongs to no session: it is loaded by company and day, and no row of daily_trading changes for it.
CREATE TABLE IF NOT EXISTS {{ schema() }}.splits (
    execution_date DATE NOT NULL,
    issuer VARCHAR(32) NOT NULL,
    ticker VARCHAR(10) NOT NULL,
    split_from DOUBLE PRECISION NOT NULL,
    split_to DOUBLE PRECISION NOT NULL,
    source VARCHAR(256) NOT NULL,
    PRIMARY KEY (issuer, execution_date)
)
DISTSTYLE AUTO
COMPOUND SORTKEY (execution_date, issuer)

-- A row is a line that failed on a session, with its reason; a clean session has no row.
CREATE TABLE IF NOT EXISTS {{ schema() }}.failed_collections (
    trading_date DATE NOT NULL,
    ticker VARCHAR(10) NOT NULL,
    reason VARCHAR(1024) NOT NULL,
    PRIMARY KEY (trading_date, ticker)
)
DISTSTYLE AUTO
COMPOUND SORTKEY (trading_date, ticker)

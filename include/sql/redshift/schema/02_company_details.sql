-- A row is one of the seven on a session, as the provider describes it.
CREATE TABLE IF NOT EXISTS {{ schema() }}.company_details (
    trading_date DATE NOT NULL,
    ticker VARCHAR(10) NOT NULL,
    company_name VARCHAR(255) NOT NULL,
    market_cap DOUBLE PRECISION NOT NULL,
    shares_outstanding DOUBLE PRECISION NOT NULL,
    currency VARCHAR(3),
    description VARCHAR(1024),
    cik VARCHAR(10),
    share_count_origin VARCHAR(32) NOT NULL,
    PRIMARY KEY (trading_date, ticker)
)
DISTSTYLE AUTO
COMPOUND SORTKEY (trading_date, ticker)

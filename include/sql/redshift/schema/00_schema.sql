-- The schema of everything this project loads.
CREATE SCHEMA IF NOT EXISTS {{ schema() }}

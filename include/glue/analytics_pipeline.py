"""Glue job analytics-pipeline: writes the six tables in flat form, for Redshift's COPY.

trading_date is the first column of a file, because COPY reads no folder names. Arguments: see market_tables.run_job.
"""

from __future__ import annotations

import sys

from market_tables import FLAT, run_job


def main() -> None:
    """Run the job with Glue's arguments."""
    run_job(FLAT, sys.argv)


if __name__ == "__main__":
    main()

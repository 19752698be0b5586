"""Glue job processing-pipeline: writes the six tables in partitioned form, for Athena.

trading_date is in the folder name, not a column of the file. Arguments: see market_tables.run_job.
"""

from __future__ import annotations

import sys

from market_tables import PARTITIONED, run_job


def main() -> None:
    """Run the job with Glue's arguments."""
    run_job(PARTITIONED, sys.argv)


if __name__ == "__main__":
    main()

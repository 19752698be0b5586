"""Glue job processing-pipeline: the six tables in the partitioned form, for Athena.

trading_date is the folder of a file, not a column inside it.

Arguments: --bucket, --staging (the run's folder, such as staging/<run>) and --sessions (dates, comma separated).
"""

from __future__ import annotations

import sys

from market_tables import PARTITIONED, Window, parse_sessions, run_pipeline


def main() -> None:
    """Run the job with Glue's arguments."""
    from awsglue.context import GlueContext
    from awsglue.job import Job
    from awsglue.utils import getResolvedOptions
    from pyspark.context import SparkContext

    arguments = getResolvedOptions(sys.argv, ["JOB_NAME", "bucket", "staging", "sessions"])
    glue = GlueContext(SparkContext.getOrCreate())
    job = Job(glue)
    job.init(arguments["JOB_NAME"], arguments)
    window = Window(
        f"s3://{arguments['bucket']}/{arguments['staging'].strip('/')}", parse_sessions(arguments["sessions"])
    )
    run_pipeline(glue.spark_session, PARTITIONED, window)
    job.commit()


if __name__ == "__main__":
    main()

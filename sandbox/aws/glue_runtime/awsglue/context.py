"""Stand-in for awsglue.context."""

from typing import Any

from pyspark.sql import SparkSession


class GlueContext:
    """Holds the Spark session of a run, as the real GlueContext does."""

    def __init__(self, spark_context: Any) -> None:
        self.spark_session = SparkSession(spark_context)

    def get_logger(self) -> Any:
        """Return Spark's log4j logger."""
        context = self.spark_session.sparkContext
        return context._jvm.org.apache.log4j.LogManager.getLogger("glue")  # type: ignore[union-attr,unused-ignore]

"""``airflow`` in a process that has already imported the modules of the tasks, so that forked tasks start faster.

Usage: python -m sandbox.preloaded scheduler --skip-serve-logs

LocalExecutor forks its workers from the scheduler, and the workers fork the tasks. Airflow itself is not changed.
"""

from __future__ import annotations

from importlib import import_module

from airflow.__main__ import main

MODULES = (
    "airflow.dag_processing.dagbag",
    "airflow.providers.amazon.aws.hooks.base_aws",
    "airflow.providers.standard.sensors.python",
    "mag7.polygon.transport",
    "mag7.tasks.backfill",
    "mag7.tasks.collect",
    "mag7.tasks.corrections",
    "mag7.tasks.document",
    "mag7.tasks.ending",
    "mag7.tasks.operators",
    "mag7.tasks.polygon_hook",
    "mag7.tasks.publish",
    "mag7.tasks.summary",
    "boto3",
    "polygon",
    "pyarrow.parquet",
)


def load_modules() -> None:
    """Import the modules that take longest to import; most of it is the NYSE calendar with pandas."""
    for name in MODULES:
        import_module(name)
    from mag7.sessions import load_calendar

    load_calendar()


if __name__ == "__main__":
    load_modules()
    main()  # type: ignore[no-untyped-call]

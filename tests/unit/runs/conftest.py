"""A run's record in a lake that moto holds, as the tasks' tests have it."""

from __future__ import annotations

from tests.unit.tasks.conftest import aws, environment, store, window

__all__ = ["aws", "environment", "store", "window"]

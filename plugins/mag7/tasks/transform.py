"""Register the files that the Glue jobs staged, so that the checks can read them."""

from __future__ import annotations

from mag7.lake import publish
from mag7.settings import read_settings
from mag7.tasks.connections import open_client, open_store
from mag7.tasks.window import Window, list_window


def register_staging(window: Window) -> int:
    """Register the staged partitions of the window; raises StagingIncompleteError where a file is missing."""
    store = open_store(read_settings())
    return publish.register_staging(store, open_client("glue"), window["run"], list_window(window))

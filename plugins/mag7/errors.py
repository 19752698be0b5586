"""The base of every error that this project raises on purpose."""

from __future__ import annotations

from typing import ClassVar


class Mag7Error(Exception):
    """An error of ours: its one-line message says what happened, with the values that matter, and what to do next.

    ``transient`` says whether the same step may succeed when it is simply tried again a little later.
    """

    transient: ClassVar[bool] = False

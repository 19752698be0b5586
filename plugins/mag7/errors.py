"""The base of every error this project raises on purpose."""

from __future__ import annotations


class Mag7Error(Exception):
    """An error of ours. Its one-line message says what happened, with the values that matter, and what to do next."""

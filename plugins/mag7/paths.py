"""Where the project's own files lie, seen from this package."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
INCLUDE = PACKAGE.parents[1] / "include"
SQL = INCLUDE / "sql"
GLUE = INCLUDE / "glue"
DATA = INCLUDE / "data"

"""Where the project's own files lie, seen from this package."""

from __future__ import annotations

from pathlib import Path

INCLUDE = Path(__file__).resolve().parents[2] / "include"
SQL = INCLUDE / "sql"
GLUE = INCLUDE / "glue"
DATA = INCLUDE / "data"

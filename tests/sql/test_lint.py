"""Every template is formatted and parses in the dialect of its engine."""

from __future__ import annotations

import pytest
from sqlfluff.core import FluffConfig, Linter

from mag7.paths import SQL

FOLDERS = {"glue": "sparksql", "athena": "trino", "redshift": "redshift"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_sql_is_clean(folder: str) -> None:
    config = FluffConfig.from_path(str(SQL / folder))
    assert config.get("dialect") == FOLDERS[folder]
    result = Linter(config=config).lint_paths((str(SQL / folder),), processes=1)
    assert sum(len(path.files) for path in result.paths) == len(list((SQL / folder).rglob("*.sql")))
    assert [str(found) for found in result.get_violations()] == []

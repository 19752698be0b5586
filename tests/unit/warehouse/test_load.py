from __future__ import annotations

import json

from mag7.lake.tables import list_published_tables
from mag7.warehouse.load import MAXIMUM_STATEMENTS, batch_statements, encode_manifest


def test_the_load_is_one_batch_that_locks_first_and_inserts_by_name():
    statements = batch_statements()
    assert len(statements) == 1 + 4 * len(list_published_tables()) <= MAXIMUM_STATEMENTS
    assert "lock.sql" in statements[0]
    for table, four in zip(list_published_tables(), range(1, len(statements), 4), strict=True):
        steps = statements[four : four + 4]
        assert all(f"set table = '{table.name}'" in step for step in steps)
        assert [step.rsplit("/", 1)[1].split(".")[0] for step in steps] == [
            "create_staging",
            "copy",
            "delete_splits" if table.name == "splits" else "delete_window",
            "insert",
        ]
        assert ", ".join(f'"{column.name}"' for column in table.columns) in steps[3]


def test_a_manifest_names_every_file_with_its_size():
    assert json.loads(encode_manifest([("s3://b/a", 5), ("s3://b/c", 7)])) == {
        "entries": [
            {"url": "s3://b/a", "mandatory": True, "meta": {"content_length": 5}},
            {"url": "s3://b/c", "mandatory": True, "meta": {"content_length": 7}},
        ]
    }

from __future__ import annotations

from mag7.lake.objects import ObjectStore
from mag7.lake.scripts import digest_scripts, list_script_files, script_arguments, upload_scripts


def test_a_version_is_uploaded_once_and_what_was_lost_is_uploaded_again(store: ObjectStore):
    count = len(list_script_files())
    assert upload_scripts(store) == count
    assert upload_scripts(store) == 0
    store.delete([f"glue/scripts/{digest_scripts()}/market_tables.py"])
    assert upload_scripts(store) == 1


def test_every_file_that_a_run_names_is_uploaded(store: ObjectStore):
    upload_scripts(store)
    present = {store.uri(item.key) for item in store.list("glue/scripts/")}
    arguments = script_arguments(store.bucket, "processing_pipeline.py")
    named = {uri for value in arguments.values() for uri in value.split(",")}
    assert named <= present
    assert {name for name in list_script_files() if name.endswith((".sql", ".json"))} == {
        uri.rsplit("/", 1)[1] for uri in arguments["--extra-files"].split(",")
    }

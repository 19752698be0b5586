"""What the sandbox relies on inside moto: fails when a new moto changes it."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import pytest
from moto.athena.models import athena_backends
from moto.glue.models import glue_backends
from moto.logs.models import logs_backends
from moto.s3.models import s3_backends

from sandbox.aws.api import ApiError
from sandbox.aws.backends import (
    ACCOUNT,
    Gate,
    S3Store,
    find_table,
    find_workgroup,
    get_job,
    list_partitions,
    put_log,
    split_uri,
)

REGION = "us-east-1"


@pytest.fixture
def store() -> S3Store:
    held = S3Store(Gate())
    if "contract" not in held.list_buckets():
        s3_backends[ACCOUNT]["aws"].create_bucket("contract", REGION)
    return held


def test_moto_is_the_one_that_was_read() -> None:
    assert version("moto") == "5.2.5"


def test_objects(store: S3Store) -> None:
    store.write("contract", "a/1", b"one")
    store.write("contract", "a/2", b"two!")
    store.write("contract", "b", b"")
    listed = store.list("contract", "a/")
    assert [(found.uri, found.size) for found in listed] == [("s3://contract/a/1", 3), ("s3://contract/a/2", 4)]
    assert store.find("contract", "a/1") == listed[0]
    assert len(listed[0].etag) == 32
    assert listed[0].modified > 1_700_000_000_000
    assert store.read("contract", "a/2") == b"two!"
    store.delete("contract", "a/2")
    assert store.find("contract", "a/2") is None
    assert store.read("contract", "a/2") is None


def test_objects_are_listed_while_others_come_and_go(store: S3Store) -> None:
    """As when two Glue runs clear up at once: moto's own listing raises KeyError for a key that goes meanwhile."""
    for number in range(500):
        store.write("contract", f"stays/{number}", b"")
    stop = threading.Event()
    busy = threading.Thread(target=come_and_go, args=(store, stop))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        busy.start()
        with ThreadPoolExecutor(3) as pool:
            assert set(pool.map(lambda _: count_listed(store), range(300))) == {500}
    finally:
        stop.set()
        busy.join()
        sys.setswitchinterval(interval)


def come_and_go(store: S3Store, stop: threading.Event) -> None:
    while not stop.is_set():
        for number in range(50):
            store.write("contract", f"goes/{number}", b"")
        for number in range(50):
            store.delete("contract", f"goes/{number}")


def count_listed(store: S3Store) -> int:
    store.list("contract", "goes/")
    return len(store.list("contract", "stays/"))


def test_missing_buckets(store: S3Store) -> None:
    assert store.list("no-bucket", "") == []
    assert store.read("no-bucket", "a") is None
    with pytest.raises(ApiError, match="no-bucket does not exist"):
        store.write("no-bucket", "a", b"")


@pytest.mark.parametrize("uri", ["http://bucket/key", "bucket/key", "s3://", ""])
def test_only_s3_locations_are_split(uri: str) -> None:
    assert split_uri("s3://bucket/a/b") == ("bucket", "a/b")
    with pytest.raises(ApiError, match="is not an s3://bucket/key location"):
        split_uri(uri)


def test_catalog() -> None:
    backend = glue_backends[ACCOUNT][REGION]
    backend.create_database("contract", {"Name": "contract"})
    backend.create_table("contract", "t", {"Name": "t", "StorageDescriptor": {"Location": "s3://contract/t/"}})
    backend.get_table("contract", "t").create_partition({"Values": ["2024-12-13"]})
    table: dict[str, Any] = find_table(REGION, "contract", "t") or {}
    assert table["StorageDescriptor"]["Location"] == "s3://contract/t/"
    assert [partition["Values"] for partition in list_partitions(REGION, "contract", "t")] == [["2024-12-13"]]
    assert find_table(REGION, "contract", "none") is None
    assert find_table(REGION, "none", "t") is None
    with pytest.raises(ApiError, match="Job none not found"):
        get_job(REGION, "none")


def test_workgroups() -> None:
    assert athena_backends[ACCOUNT][REGION].work_groups.keys() >= {"primary"}
    primary = find_workgroup(REGION, "primary")
    assert primary is not None
    assert primary["EnforceWorkGroupConfiguration"] is False
    assert find_workgroup(REGION, "none") is None


def test_logs() -> None:
    put_log(REGION, "/contract", "run", ["one", "", "two"], int(time.time() * 1000))
    group = logs_backends[ACCOUNT][REGION].groups["/contract"]
    assert [event.message for event in group.streams["run"].events] == ["one", "two"]

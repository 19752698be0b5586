from __future__ import annotations

import boto3
import pytest

from mag7.lake.objects import ObjectMissingError, ObjectStore


def test_objects_are_written_read_listed_copied_and_deleted(store: ObjectStore):
    store.put("a/1", b"one")
    store.copy("a/1", "b/1")
    assert store.get("b/1") == b"one"
    assert [(item.key, item.size) for item in store.list("a/")] == [("a/1", 3)]
    store.delete(["a/1", "a/none"])
    assert list(store.list("a/")) == []


def test_a_missing_object_is_named(store: ObjectStore):
    with pytest.raises(ObjectMissingError, match="s3://lake/nowhere does not exist"):
        store.get("nowhere")


def test_listing_goes_past_one_page(store: ObjectStore):
    for number in range(1005):
        store.put(f"many/{number:04}", b"")
    assert len(list(store.list("many/"))) == 1005


def test_every_request_names_the_buckets_expected_owner(store: ObjectStore):
    client, sent = boto3.client("s3"), []
    client.meta.events.register("provide-client-params.s3.*", lambda params, **_: sent.append(params))
    owned = ObjectStore(client, store.bucket, owner="123456789012")
    owned.put("a/1", b"one")
    owned.get("a/1")
    owned.copy("a/1", "a/2")
    assert len(list(owned.list("a/"))) == 2
    owned.delete(["a/1"])
    assert len(sent) == 5
    assert {params["ExpectedBucketOwner"] for params in sent} == {"123456789012"}

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


def test_an_object_is_replaced_only_as_it_was_read(store: ObjectStore):
    assert store.find("a/1") is None
    assert store.replace("a/1", b"one", None)
    first = store.find("a/1")
    assert first is not None
    assert first.body == b"one"
    assert not store.replace("a/1", b"other", None)  # there is one now
    assert store.replace("a/1", b"two", first)
    assert not store.replace("a/1", b"three", first)
    assert store.get("a/1") == b"two"
    second = store.find("a/1")
    store.delete(["a/1"])
    assert not store.replace("a/1", b"three", second)
    assert list(store.list("a/")) == []


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
    assert owned.replace("a/1", b"two", owned.find("a/1"))
    owned.delete(["a/1"])
    assert len(sent) == 7
    assert {params["ExpectedBucketOwner"] for params in sent} == {"123456789012"}

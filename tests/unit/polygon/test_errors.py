from __future__ import annotations

import pickle

import pytest

from mag7.errors import Mag7Error
from mag7.polygon import errors
from mag7.polygon.errors import CollectionStoppedError, PolygonError, ServerFailedError, UnreachableError

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, PolygonError)]


@pytest.mark.parametrize("kind", KINDS)
def test_errors_survive_pickling(kind: type[PolygonError]) -> None:
    error = kind("/v1/x?date=2024-12-13", "HTTP 500", status=500, body="oops", retry_after=2.5, tries=4)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copy) is kind
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def test_a_next_step_of_its_own_survives_too() -> None:
    error = UnreachableError("/v1/x", "h:1 did not answer in time", next_step="check POLYGON_BASE_URL (now http://h:1)")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own bytes
    assert str(error).endswith("check POLYGON_BASE_URL (now http://h:1)")


def test_a_stopped_collection_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(CollectionStoppedError("/v1/x: given up")))  # noqa: S301 - our own bytes
    assert (type(error), str(error)) == (CollectionStoppedError, "/v1/x: given up")


def test_the_message_holds_path_reason_tries_and_next_step() -> None:
    error = ServerFailedError("/v1/x", "HTTP 500", status=500).changed(tries=4)
    assert isinstance(error, ServerFailedError)
    assert isinstance(error, Mag7Error)
    assert str(error) == "/v1/x: HTTP 500 after 4 tries; run the task again later; what was fetched is stored"
    assert error.summary == "HTTP 500 after 4 tries"

"""Which failures are retried."""

from __future__ import annotations

import pytest
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.exceptions import AirflowException
from botocore.exceptions import ClientError, EndpointConnectionError

from mag7.errors import Mag7Error
from mag7.lake.publish import StagingIncompleteError
from mag7.polygon.errors import (
    BodyInvalidError,
    KeyRejectedError,
    PlanRefusedError,
    RateLimitedError,
    ServerFailedError,
    UnreachableError,
)
from mag7.runs.refusal import SessionRefusedError
from mag7.session_calendar import NotASessionError
from mag7.settings import SettingMissingError
from mag7.tasks.operators import GlueRunFailedError
from mag7.tasks.polygon_hook import KeyNotFoundError
from mag7.tasks.retries import PassingFaultsPolicy

LASTING: list[Mag7Error] = [
    KeyNotFoundError("polygon_default"),
    KeyRejectedError("/v3", "unknown key", status=401),
    PlanRefusedError("/v3", "not in the plan", status=403),
    NotASessionError("a Saturday"),
    SessionRefusedError("too little is priced"),
    SettingMissingError("MAG7_BUCKET is not set: name it"),
    StagingIncompleteError("no file"),
]
PASSING: list[Exception] = [
    RateLimitedError("/v3", "too many", status=429),
    ServerFailedError("/v3", "HTTP 502", status=502),
    UnreachableError("/v3", "reset"),
    BodyInvalidError("/v3", "truncated"),
    GlueRunFailedError("a worker was lost"),
    ClientError({"Error": {"Code": "ThrottlingException"}}, "StartQueryExecution"),
    EndpointConnectionError(endpoint_url="http://127.0.0.1:9"),
    AirflowException("the statement was aborted"),
    TimeoutError(),
]


def decide(error: BaseException, try_number: int = 1) -> RetryAction:
    return PassingFaultsPolicy().evaluate(error, try_number, 3).action


@pytest.mark.parametrize("error", LASTING, ids=lambda error: type(error).__name__)
def test_an_error_that_stays_fails_at_once(error: Mag7Error) -> None:
    decision = PassingFaultsPolicy().evaluate(error, 1, 3)

    assert decision.action is RetryAction.FAIL
    assert type(error).__name__ in str(decision.reason)


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("try_number", [1, 3])
def test_an_error_that_may_pass_is_left_to_the_tasks_retries(error: Exception, try_number: int) -> None:
    assert decide(error, try_number) is RetryAction.DEFAULT


def test_the_policy_survives_serialization() -> None:
    policy = PassingFaultsPolicy.deserialize(PassingFaultsPolicy().serialize())

    assert policy.evaluate(KeyNotFoundError("polygon_default"), 1, 3).action is RetryAction.FAIL

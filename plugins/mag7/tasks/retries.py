"""Which failed tasks are retried: never one with an error of ours that would occur again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import RetryDecision, RetryPolicy

from mag7.errors import Mag7Error

if TYPE_CHECKING:
    from airflow.sdk import Context


class PassingFaultsPolicy(RetryPolicy):
    """Fail at once on errors of ours that are not transient; leave every other error to the task's own retries."""

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Decide by Mag7Error.transient."""
        if isinstance(exception, Mag7Error) and not exception.transient:
            return RetryDecision.fail(f"{type(exception).__name__} would occur again on a retry")
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """Return the policy's settings: there are none."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> PassingFaultsPolicy:
        """Restore the policy."""
        return cls()

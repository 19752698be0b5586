"""When a failed task is worth another try: never for an error of ours that will be the same next time."""

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
        """Decide by the error's own word: Mag7Error.transient."""
        if isinstance(exception, Mag7Error) and not exception.transient:
            return RetryDecision.fail(f"{type(exception).__name__} would be the same on another try")
        return RetryDecision.default()

    def serialize(self) -> dict[str, Any]:
        """Give the policy's settings: it has none."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> PassingFaultsPolicy:
        """Make the policy again."""
        return cls()

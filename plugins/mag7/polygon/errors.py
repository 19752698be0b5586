"""The errors of calls to the provider: one class for each cause, with its status, path and next step."""

from __future__ import annotations

from typing import Any

from mag7.errors import Mag7Error


class PolygonError(Mag7Error):
    """A call without the expected response.

    ``path`` is the request's path (or what was parsed, where no request is known), ``status`` the HTTP status (None: no
    response came), ``reason`` one line without path and next step, ``body`` what the server sent (the key removed),
    ``retry_after`` the seconds it asked to wait, ``tries`` the attempts made.
    """

    next_step = "run the task again later; what was fetched is stored"
    transient = False

    def __init__(
        self,
        path: str,
        reason: str,
        *,
        status: int | None = None,
        body: str = "",
        retry_after: float | None = None,
        tries: int = 1,
        next_step: str | None = None,
    ) -> None:
        self.path = path
        self.reason = reason
        self.status = status
        self.body = body
        self.retry_after = retry_after
        self.tries = tries
        self.next_step = self.next_step if next_step is None else next_step
        super().__init__(f"{path}: {self.summary}; {self.next_step}")

    @property
    def summary(self) -> str:
        """The reason with the number of attempts, as a failed line shows it."""
        return self.reason if self.tries == 1 else f"{self.reason} after {self.tries} tries"

    def changed(self, **changes: Any) -> PolygonError:
        """Return the same error with other values, such as the number of tries."""
        return _rebuild(type(self), {**self._values(), **changes})

    def _values(self) -> dict[str, Any]:
        names = ("path", "reason", "status", "body", "retry_after", "tries", "next_step")
        return {name: getattr(self, name) for name in names}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by values: Airflow moves exceptions between processes."""
        return _rebuild, (type(self), self._values())


class AddressInvalidError(PolygonError):
    """POLYGON_BASE_URL is not an address that can be called."""

    next_step = "set it to the API's address, https://host[:port], without key, query or password"


class SourceMisnamedError(PolygonError):
    """POLYGON_SOURCE gives an address another source's name."""

    next_step = "leave it empty, or give the address a name of its own such as replay"


class KeyMissingError(PolygonError):
    """No usable API key was given."""

    next_step = "set the Airflow connection polygon_default (password) or POLYGON_API_KEY"


class KeyRejectedError(PolygonError):
    """HTTP 401: the provider does not know the key."""

    next_step = "set the Airflow connection polygon_default or POLYGON_API_KEY to a key that the provider accepts"


class PlanRefusedError(PolygonError):
    """HTTP 403: the plan behind the key does not include what was asked."""

    next_step = "choose a date that the key's plan includes, or a plan that includes the date"


class NotYetReleasedError(PolygonError):
    """HTTP 403 before the end of the day: the plan releases today's bars later."""

    next_step = "wait until the provider releases the day (cheaper plans: late in the evening) and run it again"


class RequestRefusedError(PolygonError):
    """Any other response that a retry cannot change: a redirect, a 400, a 404 where a response must exist."""

    next_step = "check POLYGON_BASE_URL and the request's path"


class RateLimitedError(PolygonError):
    """HTTP 429: more calls than the plan allows."""

    next_step = "lower POLYGON_CALLS_PER_MINUTE to the plan's limit, or run the task again later"
    transient = True


class ServerFailedError(PolygonError):
    """HTTP 5xx and the like: the provider has a fault."""

    transient = True


class UnreachableError(PolygonError):
    """No complete response came: refused or reset connection, timeout, unknown host, failed TLS."""

    next_step = "check the network and POLYGON_BASE_URL"
    transient = True


class BodyInvalidError(PolygonError):
    """A response that cannot be used: truncated, not JSON, wrong types, another company's."""

    next_step = "run the task again later; if it fails again, read the stored response"
    transient = True


class CollectionStoppedError(Mag7Error):
    """A call was given up because its batch is stopping."""


def _rebuild(kind: type[PolygonError], values: dict[str, Any]) -> PolygonError:
    return kind(**values)

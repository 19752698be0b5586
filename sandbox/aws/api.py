"""What engines share to implement an AWS JSON API: actions by name, errors with a code."""

from collections.abc import Callable
from typing import Any

Payload = dict[str, Any]
Action = Callable[[str, Payload], Payload]
"""An API action: (region, request) -> response; raises ApiError."""


class ApiError(Exception):
    """An error that an AWS client sees, with the code that the real service uses."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def require(payload: Payload, name: str) -> Any:
    """Fetch a required member of a request; raise ValidationException when it is missing or empty."""
    value = payload.get(name)
    if not value:
        raise ApiError("ValidationException", f"{name} is required")
    return value

"""Settings of the offline market."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sandbox.polygon.sessions import Clock


@dataclass(frozen=True)
class Settings:
    """``key`` None accepts every key; ``status`` is the status of bars (OK, or DELAYED on cheaper plans).

    With ``evening`` some market caps still use the previous close; ``replay`` is a folder of recorded bodies.
    """

    key: str | None = None
    clock: Clock = field(default_factory=Clock)
    status: str = "OK"
    evening: bool = False
    source_header: bool = True
    replay: Path | None = None

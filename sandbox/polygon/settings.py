"""How the offline market behaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from sandbox.polygon.sessions import Clock


@dataclass(frozen=True)
class Settings:
    """``key`` None accepts every key; ``status`` is what bars say (OK, or DELAYED on cheaper plans).

    ``evening`` lets some market caps still rest on the previous close; ``replay`` is a folder of recorded bodies.
    """

    key: str | None = None
    clock: Clock = field(default_factory=Clock)
    status: str = "OK"
    evening: bool = False
    source_header: bool = True
    replay: Path | None = None

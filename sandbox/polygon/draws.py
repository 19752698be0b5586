"""Random numbers that depend only on names: the same on every machine, whatever else is drawn."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SEED = "magnificent7 offline market 1"


def stream(*names: str) -> np.random.Generator:
    """Return a random stream that depends only on the names."""
    digest = hashlib.sha256("/".join((_SEED, *names)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def unit(*names: str) -> float:
    """Return a number in [0, 1) that depends only on the names."""
    digest = hashlib.sha256("/".join((_SEED, *names)).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def walk(name: str, length: int, volatility: float, reversion: float) -> Floats:
    """Return a walk that reverts to zero."""
    values, value = np.empty(length), 0.0
    for number, step in enumerate(stream("walk", name).standard_normal(length).tolist()):
        value = value * reversion + step * volatility
        values[number] = value
    return values

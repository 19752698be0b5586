"""The machine on which figures were measured."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

CPU_FILE = Path("/proc/cpuinfo")


def describe_machine() -> dict[str, Any]:
    """Return the cores that this process may use, Python, system, processor, and the current load."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _name_processor(),
        "load": read_load(),
    }


def read_load() -> float:
    """Return the load average of the last minute: above the number of cores, every figure is too slow."""
    return round(os.getloadavg()[0], 2)


def _name_processor() -> str:
    if not CPU_FILE.exists():
        return platform.processor() or "unknown"
    names = [
        line.partition(":")[2].strip() for line in CPU_FILE.read_text().splitlines() if line.startswith("model name")
    ]
    return names[0] if names else "unknown"


def print_machine(facts: dict[str, Any]) -> None:
    """Print the facts on one line."""
    print(
        f"{facts['cores']} cores ({facts['processor']}), {facts['system']}, Python {facts['python']},"
        f" load {facts['load']} at the start"
    )

"""docker-compose.yaml as Compose sees it: anchors merged, variables put in, lists of strings made plain."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SANDBOX_FILE = ROOT / "docker-compose.yaml"
ACCOUNT_FILE = ROOT / "docker-compose.aws.yaml"
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z0-9_]+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


@dataclass(frozen=True)
class Service:
    """A service of the file, as far as the tests ask."""

    name: str
    raw: dict[str, Any]

    @property
    def one_shot(self) -> bool:
        return self.raw.get("restart") == "no"

    @property
    def environment(self) -> dict[str, str]:
        return {name: fill_in(str(value)) for name, value in self.raw.get("environment", {}).items()}

    @property
    def command(self) -> list[str]:
        return [fill_in(part) for part in self.raw.get("command", [])]

    @property
    def needs(self) -> list[str]:
        return list(self.raw.get("depends_on", {}))


def read_raw(path: Path) -> dict[str, Any]:
    """Read a file with its anchors merged."""
    document = yaml.safe_load(path.read_text())
    assert isinstance(document, dict)
    return document


def read_services(path: Path = SANDBOX_FILE) -> dict[str, Service]:
    """Read the services of a file."""
    return {name: Service(name, raw) for name, raw in read_raw(path)["services"].items()}


def fill_in(text: str) -> str:
    """Put in the defaults of variables, as with an empty .env; a variable without one stays empty."""
    return VARIABLE.sub(lambda found: (found["rest"] or "") if found["kind"] == "-" else "", text)


def list_variables(path: Path) -> set[str]:
    """List the variables that a file takes from .env or the shell, those handed on without a value included."""
    without_comments = "\n".join(line for line in path.read_text().splitlines() if not line.strip().startswith("#"))
    asked = {found["name"] for found in VARIABLE.finditer(without_comments)}
    common = read_raw(path).get("x-airflow", {}).get("environment", {})
    return asked | {name for name, value in common.items() if value is None}


def order_services(services: dict[str, Service]) -> list[Service]:
    """Order services so that each comes after those it needs."""
    ordered: list[Service] = []
    while len(ordered) < len(services):
        done = {service.name for service in ordered}
        ready = [s for s in services.values() if s.name not in done and done.issuperset(s.needs)]
        assert ready, f"the services {sorted(set(services) - done)} wait for each other"
        ordered += ready
    return ordered

"""Every web route that the project gives Airflow demands Airflow's authorization: nobody gets in without a name.

There is none today. The first one is judged here, route by route, by asking for it without credentials.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.plugins_manager import AirflowPlugin
from fastapi import Depends, FastAPI, HTTPException
from fastapi.testclient import TestClient
from starlette.routing import Mount

from mag7_plugin import Mag7Plugin

REFUSED = {401, 403}
JUDGED = "fastapi_apps"
HARMLESS = {"timetables", "listeners", "macros", "priority_weight_strategies", "hook_lineage_readers"}
"""What adds no address; macros run where templates are rendered, in tasks."""


def list_registered(plugin: type[AirflowPlugin]) -> set[str]:
    """The kinds of things that a plugin registers, but for those that add no address."""
    lists = {name for name, value in vars(AirflowPlugin).items() if isinstance(value, list)}
    return {name for name in lists if getattr(plugin, name)} - HARMLESS


def list_open_routes(apps: Iterable[dict[str, Any]]) -> list[str]:
    """Name every route of some registered apps that answers somebody without credentials by anything but a refusal."""
    return [
        f"{method} {entry.get('url_prefix', '')}{path}"
        for entry in apps
        for method, path in list_routes(entry["app"].routes)
        if ask(entry["app"], method, path) not in REFUSED
    ]


def list_routes(routes: Iterable[Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for route in routes:
        if isinstance(route, Mount):
            # Files, or an app inside the app.
            yield from (
                list_routes(route.routes, prefix + route.path) if route.routes else [("GET", f"{prefix}{route.path}/x")]
            )
        else:
            yield from ((method, prefix + route.path) for method in sorted(route.methods or {"GET"}))


def ask(app: FastAPI, method: str, path: str) -> int:
    client = TestClient(app, raise_server_exceptions=False, follow_redirects=False)
    return client.request(method, re.sub(r"{[^}]*}", "1", path)).status_code


def test_every_route_of_the_project_refuses_a_stranger() -> None:
    assert list_open_routes(Mag7Plugin.fastapi_apps) == []


def test_nothing_is_registered_that_is_not_judged_here() -> None:
    assert list_registered(Mag7Plugin) <= {JUDGED}


def register(app: FastAPI) -> list[dict[str, Any]]:
    return [{"app": app, "url_prefix": "/mag7", "name": "planted"}]


def bare(**changes: Any) -> FastAPI:
    """An app without FastAPI's own pages, which are open."""
    return FastAPI(docs_url=None, redoc_url=None, openapi_url=None, **changes)


def refuse() -> None:
    raise HTTPException(403)


class TestPlanted:
    def test_an_open_route_is_found(self) -> None:
        app = bare()
        app.get("/figures/{day}")(lambda day: day)
        app.post("/rebuild", dependencies=[Depends(refuse)])(lambda: "")

        assert list_open_routes(register(app)) == ["GET /mag7/figures/{day}"]

    def test_fastapis_own_pages_are_found(self) -> None:
        assert "GET /mag7/openapi.json" in list_open_routes(register(FastAPI()))

    def test_an_open_route_of_an_app_inside_is_found(self) -> None:
        app, inside = bare(), bare()
        inside.get("/figures")(lambda: "")
        app.mount("/inside", inside)

        assert list_open_routes(register(app)) == ["GET /mag7/inside/figures"]

    def test_a_route_that_breaks_before_it_refuses_is_found(self) -> None:
        app = bare()
        app.get("/figures")(lambda: 1 / 0)

        assert list_open_routes(register(app)) == ["GET /mag7/figures"]

    def test_airflows_own_authorization_is_taken(self) -> None:
        app = bare()

        @app.get("/figures")
        def figures(user: GetUserDep) -> str:
            return str(user)

        assert list_open_routes(register(app)) == []

    @pytest.mark.parametrize(
        "kind", ["flask_blueprints", "appbuilder_views", "fastapi_root_middlewares", "external_views"]
    )
    def test_what_cannot_be_judged_is_found(self, kind: str) -> None:
        assert list_registered(type("Planted", (AirflowPlugin,), {"name": "planted", kind: [object()]})) == {kind}

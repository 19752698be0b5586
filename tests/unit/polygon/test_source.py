"""Which addresses are refused, and which names the responses of an address may have."""

from __future__ import annotations

import pytest

from mag7.polygon.errors import AddressInvalidError, SourceMisnamedError
from mag7.polygon.source import check_base_url, name_declared_source
from mag7.settings import SettingInvalidError
from sandbox.stack import name_source
from tests.unit.polygon.local_provider import open_client

MALFORMED = [
    ("", "does not begin with https:// or http://"),
    ("api.polygon.io", "does not begin with https:// or http://"),
    ("ftp://host", "does not begin with https:// or http://"),
    ("https://", "names no host"),
    ("https://:8080", "names no host"),
    ("https://me:secret@host", "holds a user name or a password"),
    ("https://@host", "holds a user name or a password"),
    ("https://host?apiKey=secret", "holds a query or a fragment"),
    ("https://host#secret", "holds a query or a fragment"),
    ("https://host:0", "names port 0"),
    ("https://host:99999", "names no usable port"),
    ("https://host:secret", "names no usable port"),
    ("http://[x", "is no address"),
]


@pytest.mark.parametrize(("address", "fault"), MALFORMED)
def test_a_malformed_address_is_refused_for_good_by_its_variable_and_never_shown(address: str, fault: str) -> None:
    for refuse in (check_base_url, open_client):
        with pytest.raises(AddressInvalidError) as caught:
            refuse(address)
        assert str(caught.value).startswith(f"POLYGON_BASE_URL: {fault}; set it to the API's address, https://host")
        assert "secret" not in str(caught.value)
        assert not caught.value.transient


@pytest.mark.parametrize("host", ["api.polygon.io", "api.massive.com", "API.Polygon.IO"])
def test_the_providers_own_hosts_are_polygon_and_never_asked_in_the_clear(host: str) -> None:
    for source in (None, "simulated", "replay"):
        assert name_declared_source(f"https://{host}:443/", source) == "polygon"
    with pytest.raises(AddressInvalidError, match=f"set it to https://{host.lower()}"):
        check_base_url(f"http://{host}")


@pytest.mark.parametrize(
    ("address", "source", "name"),
    [
        ("http://127.0.0.1:8090", None, "127.0.0.1:8090"),
        ("http://127.0.0.1:8090/", " ", "127.0.0.1:8090"),
        ("https://replay.example.com", "replay", "replay"),
        ("http://127.0.0.1:8090", "simulated", "simulated"),
        ("http://localhost:8090", "simulated", "simulated"),
        ("http://[::1]:8090", "simulated", "simulated"),
        ("http://market:8090", "simulated", "simulated"),
    ],
)
def test_other_addresses_have_the_name_given_else_their_own(address: str, source: str | None, name: str) -> None:
    assert name_declared_source(address, source) == name


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("http://127.0.0.1:8090", "polygon"),
        ("http://market:8090", "Polygon"),
        ("https://replay.example.com", "polygon"),
        ("https://api.polygon.io.example.com", "polygon"),
        ("https://replay.example.com", "simulated"),
        ("http://10.0.0.7:8090", "Simulated"),
    ],
)
def test_no_address_passes_for_what_it_is_not(address: str, source: str) -> None:
    for refuse in (name_declared_source, lambda base_url, name: open_client(base_url, source=name)):
        with pytest.raises(SourceMisnamedError, match=f"POLYGON_SOURCE: '{source}' is the name of") as caught:
            refuse(address, source)
        assert not caught.value.transient


def test_the_sandbox_names_sources_as_the_client_does() -> None:
    address = "http://127.0.0.1:8090"
    assert name_source({}) == "simulated"
    assert name_source({"POLYGON_BASE_URL": "https://API.polygon.io:443"}) == "polygon"
    assert name_source({"POLYGON_BASE_URL": address}) == open_client(address).source == "127.0.0.1:8090"
    assert name_source({"POLYGON_BASE_URL": address, "POLYGON_SOURCE": "replay"}) == "replay"


@pytest.mark.parametrize(
    "environ",
    [
        {"POLYGON_BASE_URL": "https://me:secret@host"},
        {"POLYGON_BASE_URL": "https://replay.example.com", "POLYGON_SOURCE": "simulated"},
    ],
)
def test_the_sandbox_refuses_what_the_client_refuses_as_a_wrong_setting(environ: dict[str, str]) -> None:
    with pytest.raises(SettingInvalidError, match="POLYGON_") as refused:
        name_source(environ)
    assert "secret" not in str(refused.value)

"""Where responses come from: the check of the provider's address, and the name of its source."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from mag7.polygon.errors import AddressInvalidError, SourceMisnamedError

POLYGON = "polygon"
SIMULATED = "simulated"
OFFICIAL_HOSTS = frozenset({"api.polygon.io", "api.massive.com"})


def check_base_url(base_url: str) -> str:
    """Return the provider's address without a closing slash; raises AddressInvalidError, which says what is wrong."""
    try:
        parts = urlsplit(base_url.strip().rstrip("/"))
        fault = _find_fault(parts)
    except ValueError as wrong:
        raise AddressInvalidError("POLYGON_BASE_URL", _describe(wrong)) from None
    if fault:
        raise AddressInvalidError("POLYGON_BASE_URL", fault)
    if parts.hostname in OFFICIAL_HOSTS and parts.scheme != "https":
        raise AddressInvalidError(
            "POLYGON_BASE_URL",
            f"http://{parts.hostname} would show the key to everyone on the way",
            next_step=f"set it to https://{parts.hostname}",
        )
    return parts.geturl()


def name_declared_source(base_url: str, source: str | None) -> str:
    """Name the source of an address's responses, unless a response says otherwise.

    The provider's own hosts are "polygon" whatever ``source`` (POLYGON_SOURCE) says; others have its name, else
    host:port. Raises AddressInvalidError, and SourceMisnamedError where responses would pass for what they are not:
    "polygon" is for the provider's hosts, "simulated" for an offline market on this machine or beside it in a container
    network, where a host's name has no dot.
    """
    parts = urlsplit(check_base_url(base_url))
    hostname = parts.hostname or ""
    if hostname in OFFICIAL_HOSTS:
        return POLYGON
    name = (source or "").strip()
    if name.lower() == POLYGON or (name.lower() == SIMULATED and not _is_near(hostname)):
        whose = "the provider's own hosts" if name.lower() == POLYGON else "an offline market of one's own"
        raise SourceMisnamedError("POLYGON_SOURCE", f"{name!r} is the name of {whose}, not of {parts.netloc}")
    return name or parts.netloc


def _find_fault(parts: SplitResult) -> str | None:
    # The text itself is never shown: it may hold a password or a key.
    if parts.scheme not in {"http", "https"}:
        return "does not begin with https:// or http://"
    if not parts.hostname:
        return "names no host"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or a password"
    if parts.query or parts.fragment:
        return "holds a query or a fragment"
    return "names port 0" if parts.port == 0 else None


def _describe(wrong: ValueError) -> str:
    return "names no usable port" if "port" in str(wrong).lower() else "is no address"


def _is_near(hostname: str) -> bool:
    try:
        return ip_address(hostname).is_loopback
    except ValueError:
        return "." not in hostname

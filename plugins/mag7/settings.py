"""Every setting of the project, read from the environment when a task runs, never at import.

Defaults work in the sandbox, or the error says what is missing. The API key is not a setting: it comes from the Airflow
connection ``polygon_default`` or from POLYGON_API_KEY and lives only in the client.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from datetime import date
from typing import Any

from mag7.errors import Mag7Error, one_line

SANDBOX_BUCKET = "magnificent7-market-data"
SANDBOX_ROLE = "arn:aws:iam::123456789012:role/mag7-redshift-copy"

_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}")
_QUOTES = frozenset("'\"`\\")

CALLS_PER_MINUTE = {"free": 5.0, "paid": 5400.0}
"""Calls a minute on each of the provider's plans. Paid plans have no limit by contract: the provider asks to stay under
100 calls a second, and 5,400 evenly spaced calls a minute are 90."""


_GONE = "was removed, unset it: every task calls at the key's limit divided by MAG7_POLYGON_SLOTS"
REMOVED = {"MAG7_WORKER_HOSTS": _GONE, "MAG7_RATE_FOLDER": _GONE}
"""Removed settings, and what an environment that still sets them is told."""


class SettingMissingError(Mag7Error):
    """A setting that has no default here is not set."""


class SettingInvalidError(Mag7Error):
    """A setting's text cannot be read as what it must be."""


def _setting(variable: str, default: Any, meaning: str, *, least: float = 0, most: float = math.inf) -> Any:
    metadata = {"variable": variable, "meaning": meaning, "kind": type(default), "least": least, "most": most}
    return field(default=default, metadata=metadata)


def _percent(variable: str, default: float, meaning: str) -> Any:
    return _setting(variable, default, f"{meaning}, per cent", most=100)


@dataclass(frozen=True)
class Settings:
    """Where the lake, the warehouse and the provider are, and which bounds a session must keep."""

    bucket: str = _setting("MAG7_BUCKET", "", "bucket of the lake; must be given where no AWS_ENDPOINT_URL is set")
    bucket_owner: str = _setting("MAG7_BUCKET_OWNER", "", "account id that must own the bucket; must be given on AWS")
    copy_role: str = _setting("MAG7_COPY_ROLE", "", "IAM role that Redshift assumes for COPY; must be given on AWS")
    endpoint_url: str = _setting("AWS_ENDPOINT_URL", "", "endpoint override of every AWS service: the sandbox")
    athena_workgroup: str = _setting("MAG7_ATHENA_WORKGROUP", "mag7", "Athena workgroup of the checks")
    redshift_workgroup: str = _setting("MAG7_REDSHIFT_WORKGROUP", "market-analysis", "Redshift Serverless workgroup")
    redshift_database: str = _setting("MAG7_REDSHIFT_DATABASE", "dev", "Redshift database")
    polygon_base_url: str = _setting("POLYGON_BASE_URL", "https://api.polygon.io", "the market data API's address")
    polygon_source: str = _setting("POLYGON_SOURCE", "", "the source's name for responses of an unofficial address")
    plan: str = _setting("POLYGON_PLAN", "paid", "the provider's plan behind the key: free or paid")
    calls_per_minute: float = _setting(
        "POLYGON_CALLS_PER_MINUTE",
        CALLS_PER_MINUTE["paid"],
        "the key's whole limit, before the plan's; 0 turns it off",
    )
    slots: int = _setting("MAG7_POLYGON_SLOTS", 4, "slots of the Airflow pool polygon, which share the limit", least=1)
    connect_timeout: float = _setting("POLYGON_CONNECT_TIMEOUT", 5.0, "seconds to wait for a connection", least=0.1)
    read_timeout: float = _setting("POLYGON_READ_TIMEOUT", 20.0, "seconds to wait for a response", least=0.1)
    tries: int = _setting("POLYGON_TRIES", 5, "attempts at one call before it counts as failed", least=1)
    threads: int = _setting("MAG7_THREADS", 16, "calls made at the same time inside a batch", least=1, most=1000)
    batches: int = _setting(
        "MAG7_BATCHES", 12, "mapped batches of ticker details; 10 to 20 work well", least=1, most=100
    )
    counts_frozen_before: date = _setting(  # noqa: RUF009 - a date cannot be changed
        "POLYGON_COUNTS_FROZEN_BEFORE", date(2021, 11, 1), "date before which share counts are those of about that date"
    )
    correction_sessions: int = _setting(
        "MAG7_CORRECTION_SESSIONS", 5, "earlier sessions whose closes a scheduled run fetches again", most=60
    )
    minimum_companies_pct: float = _percent("MAG7_MINIMUM_COMPANIES_PCT", 99.0, "least companies priced")
    minimum_cap_pct: float = _percent("MAG7_MINIMUM_CAP_PCT", 99.5, "least market capitalization priced")
    minimum_mag7_pct: float = _percent("MAG7_MINIMUM_MAG7_PCT", 10.0, "least believable share of the index")
    maximum_mag7_pct: float = _percent("MAG7_MAXIMUM_MAG7_PCT", 60.0, "largest believable share of the index")
    maximum_share_change: float = _setting(
        "MAG7_MAXIMUM_SHARE_CHANGE",
        2.0,
        "largest believable move of the share from one session to the next, points",
        most=100,
    )
    maximum_company_pct: float = _percent("MAG7_MAXIMUM_COMPANY_PCT", 20.0, "largest believable part of one company")
    minimum_mag7_company_cap: float = _setting("MAG7_MINIMUM_COMPANY_CAP", 1e11, "least cap of one of the seven, USD")

    ivv_url: str = _setting("MAG7_IVV_URL", "", "address of IVV's holdings, with {date} for YYYYMMDD; empty: off")
    spy_url: str = _setting("MAG7_SPY_URL", "", "address of SPY's holdings workbook; empty: off")
    changes_url: str = _setting("MAG7_CHANGES_URL", "", "address of a list or page of announced changes; empty: off")
    terms_read: str = _setting("MAG7_TERMS_READ", "", "sources whose terms you have read: ivv, spy, changes")
    membership_max_age_days: int = _setting(
        "MAG7_MEMBERSHIP_MAX_AGE_DAYS",
        120,
        "days after its last confirmed session that the newest list of members still serves, as a provisional one",
        most=366,
    )

    alert_topic: str = _setting("MAG7_ALERT_TOPIC", "", "ARN of the SNS topic that alerts go to; empty: the log only")
    late_hours: float = _setting("MAG7_LATE_HOURS", 6.0, "hours after it was due that make a scheduled run late")

    @property
    def sandboxed(self) -> bool:
        """Whether an endpoint override replaces AWS."""
        return bool(self.endpoint_url)


def _read(item: Field[Any], environ: Mapping[str, str]) -> Any:
    variable = item.metadata["variable"]
    text = environ.get(variable, "").strip()
    if not text:
        return item.default
    kind: Callable[[str], Any] = item.metadata["kind"]
    if kind is str:
        # They are written into SQL, between quotation marks, and into messages.
        if not text.isprintable() or _QUOTES & set(text):
            raise _invalid(
                variable, text, f"without quotation marks, backslashes and line ends: {item.metadata['meaning']}"
            )
        return text
    if item.metadata["kind"] is date:
        return _read_date(variable, text, item.metadata["meaning"])
    least, most = item.metadata["least"], item.metadata["most"]
    wanted = f"a number from {least:g}{'' if most == math.inf else f' to {most:g}'}: {item.metadata['meaning']}"
    try:
        value = kind(text)
        usable = math.isfinite(value) and least <= value <= most
    except (ValueError, OverflowError):
        usable = False
    if not usable:
        raise _invalid(variable, text, wanted)
    return value


def _read_date(variable: str, text: str, meaning: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise _invalid(variable, text, f"a date such as 2021-11-01: {meaning}") from None


def _invalid(variable: str, text: str, wanted: str) -> SettingInvalidError:
    return SettingInvalidError(f"the environment variable {variable} is {one_line(text)!r}, but must be {wanted}")


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and check the settings; raises SettingMissingError or SettingInvalidError naming the variable."""
    environ = os.environ if environ is None else environ
    values = {item.name: _read(item, environ) for item in fields(Settings)}
    if values["plan"] not in CALLS_PER_MINUTE:
        raise _invalid(_variable("plan"), values["plan"], f"one of {', '.join(CALLS_PER_MINUTE)}: the plan of the key")
    if not environ.get(_variable("calls_per_minute"), "").strip():
        values["calls_per_minute"] = CALLS_PER_MINUTE[values["plan"]]
    if values["endpoint_url"]:
        values["bucket"] = values["bucket"] or SANDBOX_BUCKET
        values["copy_role"] = values["copy_role"] or SANDBOX_ROLE
    for name, why in _NEEDED_ON_AWS.items():
        if not values["endpoint_url"] and not values[name]:
            raise SettingMissingError(f"the environment variable {_variable(name)} is not set: {why}")
    values["alert_topic"] = read_alert_topic(environ)
    if values["minimum_mag7_pct"] >= values["maximum_mag7_pct"]:
        lower, upper = _variable("minimum_mag7_pct"), _variable("maximum_mag7_pct")
        raise _invalid(lower, str(values["minimum_mag7_pct"]), f"below {upper}, {values['maximum_mag7_pct']:g}")
    return Settings(**values)


def list_removed(environ: Mapping[str, str] | None = None) -> list[str]:
    """List the removed settings that the environment still sets, one sentence each with the next step."""
    environ = os.environ if environ is None else environ
    return [
        f"the environment variable {name} {what}" for name, what in REMOVED.items() if environ.get(name, "").strip()
    ]


def read_alert_topic(environ: Mapping[str, str] | None = None) -> str:
    """Read the one setting that is needed even where others are invalid; raises SettingInvalidError."""
    environ = os.environ if environ is None else environ
    item = next(item for item in fields(Settings) if item.name == "alert_topic")
    topic: str = _read(item, environ)
    if topic and not _TOPIC.fullmatch(topic):
        wanted = "the ARN of a standard topic such as arn:aws:sns:us-east-1:123456789012:alerts"
        raise _invalid(item.metadata["variable"], topic, wanted)
    return topic


def _variable(name: str) -> str:
    return next(str(item.metadata["variable"]) for item in fields(Settings) if item.name == name)


_NEEDED_ON_AWS = {
    "bucket": "name the lake's bucket, or set AWS_ENDPOINT_URL to use a sandbox",
    "bucket_owner": "give the id of the account that owns the bucket, or set AWS_ENDPOINT_URL to use a sandbox",
    "copy_role": "give the ARN of the role that Redshift assumes to read the lake, or set AWS_ENDPOINT_URL",
}

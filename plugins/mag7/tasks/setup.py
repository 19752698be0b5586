"""Bring lake, catalog and warehouse to what this checkout needs, and report what they lack.

What is created once for an account and not by a checkout (bucket, roles, Glue jobs, workgroups) is only looked for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from mag7.errors import Mag7Error
from mag7.lake import catalog, scripts
from mag7.lake.fact_log import FactLog
from mag7.lake.objects import ObjectStore
from mag7.runs.record import clear_record
from mag7.settings import Settings, list_removed, read_settings
from mag7.tasks import facts
from mag7.tasks.connections import share_session
from mag7.tasks.templates import REDSHIFT_SCHEMA
from mag7.warehouse import migrations
from mag7.warehouse.schema import list_faults, read_columns
from mag7.warehouse.statements import StatementFailedError, Warehouse

log = logging.getLogger(__name__)

NO_BUCKET = ("NoSuchBucket", "404")

OpenClient = Callable[[str], Any]
"""Opens a boto3 client of a service by its name."""


class InfrastructureMissingError(Mag7Error):
    """A resource that infrastructure code creates is missing."""


class SetupMissingError(Mag7Error):
    """Lake, catalog or warehouse are not what this checkout needs."""


@dataclass(frozen=True)
class Place:
    """Where a setup works: settings, the lake's bucket, and clients of the services."""

    settings: Settings
    store: ObjectStore
    open_client: OpenClient

    @property
    def warehouse(self) -> Warehouse:
        """The warehouse's schema."""
        settings = self.settings
        client = self.open_client("redshift-data")
        return Warehouse(client, settings.redshift_workgroup, settings.redshift_database, REDSHIFT_SCHEMA)


def open_place() -> Place:
    """Open the place that the settings and the Airflow connection aws_default name."""
    settings, open_client = read_settings(), share_session()
    return Place(settings, ObjectStore(open_client("s3"), settings.bucket, settings.bucket_owner or None), open_client)


def check_infrastructure(run: str) -> None:
    """Raise InfrastructureMissingError naming everything that is missing; ``run`` is the run's path segment."""
    place = open_place()
    if missing := list_missing_infrastructure(place):
        raise InfrastructureMissingError(
            f"missing: {'; '.join(missing)}. Create it with the infrastructure code (sandbox/provision.py shows each"
            " piece), then run mag7_setup again"
        )
    clear_record(place.store, run)


def upload_scripts() -> int:
    """Upload this checkout's Glue scripts and their SQL; returns how many objects were written."""
    count = scripts.upload_scripts(open_place().store)
    log.info("Glue scripts %s: %d objects uploaded", scripts.digest_scripts(), count)
    return count


def publish_facts() -> str:
    """Store this checkout's facts in the lake where it has none, or older ones of a checkout; returns the version."""
    store = open_place().store
    first = facts.publish_packaged(store)
    newest = facts.publish_newer_checkout(store) or FactLog(store).newest() or first
    log.info("facts %s, known since %s, decided by %s", newest.name, newest.known_since, newest.decided_by)
    return newest.name


def create_catalog() -> list[str]:
    """Create missing databases, tables and columns of the catalog; returns their names."""
    place = open_place()
    created = catalog.create_catalog(place.open_client("glue"), place.settings.bucket)
    log.info("catalog: %s", ", ".join(created) or "nothing was missing")
    return created


def migrate_schema() -> list[str]:
    """Apply the migrations that the warehouse lacks; returns their file names."""
    known = migrations.list_migrations()
    done = [migration.file_name for migration in migrations.migrate(open_place().warehouse, known)]
    log.info("warehouse schema version %d: %s", known[-1].version, ", ".join(done) or "nothing was missing")
    return done


def require_setup() -> None:
    """Raise SetupMissingError where a run of this checkout would fail later because mag7_setup has not run.

    Raises SchemaNewerError or MigrationChangedError where mag7_setup would not help. Also warns of removed settings, as
    every run calls this once.
    """
    for sentence in list_removed():
        log.warning("%s", sentence)
    if gaps := list_gaps(open_place()):
        raise SetupMissingError(f"{'; '.join(gaps)}: run mag7_setup, then run this again")


def list_gaps(place: Place) -> list[str]:
    """List, one phrase each, what mag7_setup has still to create; takes one listing and four look-ups."""
    from botocore.exceptions import ClientError

    try:
        missing = scripts.list_missing_scripts(place.store)
    except ClientError as refused:
        if refused.response["Error"]["Code"] not in NO_BUCKET:
            raise
        return [f"the bucket {place.settings.bucket} is missing"]
    gaps = []
    if missing:
        gaps.append(f"{len(missing)} of this checkout's Glue scripts ({scripts.digest_scripts()}) are not uploaded")
    gaps += catalog.list_catalog_faults(place.open_client("glue")) + _list_schema_gaps(place.warehouse)
    return gaps if FactLog(place.store).list_numbers() else [*gaps, "the lake holds no version of the facts"]


def _list_schema_gaps(warehouse: Warehouse) -> list[str]:
    known, columns = migrations.list_migrations(), read_columns(warehouse)
    applied = migrations.read_applied(warehouse, columns)
    if migrations.list_pending(known, applied):
        newest = applied[-1].version if applied else "none"
        return [f"the warehouse's schema version is {newest}, this checkout needs {known[-1].version}"]
    return [f"in the warehouse {fault}" for fault in list_faults(columns)]


def list_missing_infrastructure(place: Place) -> list[str]:
    """List, one phrase each, what infrastructure code must create before mag7_setup can work."""
    settings, glue = place.settings, place.open_client("glue")
    group, workgroup = settings.athena_workgroup, settings.redshift_workgroup
    looks: dict[str, Callable[[], Any]] = {
        f"the bucket {settings.bucket}": lambda: _look_at_bucket(place),
        **{f"the Glue job {job}": partial(glue.get_job, JobName=job) for job in scripts.GLUE_JOBS},
        f"the Athena workgroup {group}": lambda: (
            place.open_client("athena").get_work_group(WorkGroup=group).get("WorkGroup")
        ),
        f"the Redshift workgroup {workgroup} with the database {settings.redshift_database}": lambda: (
            [read_columns(place.warehouse)]
        ),
        f"the role {settings.copy_role} that Redshift assumes": lambda: _look_at_role(place),
    }
    return [missing for name, look in looks.items() if (missing := _find_missing(name, look))]


def _find_missing(name: str, look: Callable[[], Any]) -> str:
    """Return the name of what is missing, with the service's reason; nothing where it exists."""
    from botocore.exceptions import ClientError

    try:
        return "" if look() else name
    except (ClientError, StatementFailedError) as refused:
        return f"{name} ({_shorten(refused)})"


def _look_at_bucket(place: Place) -> Any:
    owner = {"ExpectedBucketOwner": place.settings.bucket_owner} if place.settings.bucket_owner else {}
    return place.open_client("s3").head_bucket(Bucket=place.settings.bucket, **owner)


def _look_at_role(place: Place) -> bool:
    """Whether the role exists; one that may not be read counts as existing, with a warning."""
    from botocore.exceptions import ClientError

    try:
        place.open_client("iam").get_role(RoleName=place.settings.copy_role.rpartition("/")[2])
    except ClientError as refused:
        if refused.response["Error"]["Code"] == "NoSuchEntity":
            return False
        log.warning("cannot check whether the role %s exists: %s", place.settings.copy_role, _shorten(refused))
    return True


def _shorten(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

"""Brings the sandbox to the state that the DAGs need: bucket, roles, workgroup, Glue jobs, catalog, schema."""

from __future__ import annotations

import time
from typing import Any

import boto3
from botocore.exceptions import ClientError
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mag7.lake.catalog import create_catalog
from mag7.lake.keys import script_prefix
from mag7.lake.objects import ObjectStore
from mag7.lake.scripts import digest_scripts, upload_scripts
from mag7.paths import SQL
from mag7.settings import Settings
from mag7.tasks.templates import MACROS
from mag7.warehouse.schema import list_schema_files

GLUE_JOBS = ("processing-pipeline", "analytics-pipeline")
GLUE_ROLE = "mag7-glue"
COPY_ROLE = "mag7-redshift-copy"
STATEMENT_SECONDS = 60.0
SCANNED_BYTES = 1_000_000_000
CONCURRENT_RUNS = 4


class ProvisioningError(Exception):
    """The sandbox could not be brought to the state that the DAGs need."""


def provision_sandbox(settings: Settings, region: str) -> None:
    """Create what is missing; a second time changes nothing."""

    def client(service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=settings.endpoint_url,
            region_name=region,
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",  # noqa: S106 - moto takes any key
        )

    s3 = client("s3")
    if settings.bucket not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=settings.bucket, CreateBucketConfiguration={"LocationConstraint": region})
    store = ObjectStore(s3, settings.bucket)
    upload_scripts(store)
    _create_roles(client("iam"))
    glue = client("glue")
    _create_jobs(glue, settings)
    create_catalog(glue, settings.bucket)
    _create_workgroup(client("athena"), settings)
    _create_schema(client("redshift-data"), settings)


def _tolerate(codes: tuple[str, ...], call: Any, **arguments: Any) -> None:
    """Make a call whose refusal because the thing exists already is no error."""
    try:
        call(**arguments)
    except ClientError as refused:
        if refused.response["Error"]["Code"] not in codes:
            raise


def _create_roles(iam: Any) -> None:
    for role in (GLUE_ROLE, COPY_ROLE):
        _tolerate(("EntityAlreadyExists",), iam.create_role, RoleName=role, AssumeRolePolicyDocument="{}")


def _create_jobs(glue: Any, settings: Settings) -> None:
    for job in GLUE_JOBS:
        script = f"s3://{settings.bucket}/{script_prefix(digest_scripts())}{job.replace('-', '_')}.py"
        definition = {
            "Role": f"arn:aws:iam::123456789012:role/{GLUE_ROLE}",
            "Command": {"Name": "glueetl", "ScriptLocation": script, "PythonVersion": "3"},
            "GlueVersion": "5.0",
            "WorkerType": "G.1X",
            "NumberOfWorkers": 2,
            "ExecutionProperty": {"MaxConcurrentRuns": CONCURRENT_RUNS},
            "Timeout": 30,
        }
        try:
            glue.create_job(Name=job, **definition)
        except (glue.exceptions.AlreadyExistsException, glue.exceptions.IdempotentParameterMismatchException):
            glue.update_job(JobName=job, JobUpdate=definition)


def _create_workgroup(athena: Any, settings: Settings) -> None:
    known = {group["Name"] for group in athena.list_work_groups()["WorkGroups"]}
    if settings.athena_workgroup in known:
        return
    athena.create_work_group(
        Name=settings.athena_workgroup,
        Configuration={
            "ResultConfiguration": {"OutputLocation": f"s3://{settings.bucket}/athena-results/"},
            "BytesScannedCutoffPerQuery": SCANNED_BYTES,
        },
    )


def _create_schema(redshift: Any, settings: Settings) -> None:
    templates = Environment(loader=FileSystemLoader(SQL), undefined=StrictUndefined, autoescape=False)  # noqa: S701
    templates.globals.update(MACROS)
    statements = [templates.from_string(path.read_text()).render() for path in list_schema_files()]
    started = redshift.batch_execute_statement(
        WorkgroupName=settings.redshift_workgroup, Database=settings.redshift_database, Sqls=statements
    )
    deadline = time.monotonic() + STATEMENT_SECONDS
    while (described := redshift.describe_statement(Id=started["Id"]))["Status"] not in {
        "FINISHED",
        "FAILED",
        "ABORTED",
    }:
        if time.monotonic() > deadline:
            raise ProvisioningError(f"the warehouse's schema was not made within {STATEMENT_SECONDS:.0f} s")
        time.sleep(0.05)
    if described["Status"] != "FINISHED":
        raise ProvisioningError(f"the warehouse's schema could not be made: {described.get('Error')}")

"""Create in the sandbox what infrastructure code creates in an account: bucket, roles, Athena workgroup, Glue jobs.

mag7_setup creates the rest, which depends on the version of the checkout: scripts, catalog, the warehouse's schema.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import boto3
from botocore.exceptions import ClientError

from mag7.lake import scripts
from mag7.lake.keys import script_prefix
from mag7.lake.objects import ObjectStore
from mag7.settings import Settings, read_settings
from mag7.tasks.setup import Place
from sandbox.stack import AWS_KEY, AWS_SECRET, REGION, Stack

GLUE_ROLE = "mag7-glue"
COPY_ROLE = "mag7-redshift-copy"
SCANNED_BYTES = 1_000_000_000
CONCURRENT_RUNS = 4


class ProvisioningError(Exception):
    """The sandbox could not be set up for the DAGs."""


def open_sandbox(settings: Settings, region: str) -> Place:
    """Open the sandbox without Airflow: its bucket and clients for its services."""
    session = boto3.Session(
        aws_access_key_id=AWS_KEY,
        aws_secret_access_key=AWS_SECRET,
        region_name=region,
    )
    open_client = partial(session.client, endpoint_url=settings.endpoint_url)
    return Place(settings, ObjectStore(open_client("s3"), settings.bucket), open_client)


def open_stack(stack: Stack) -> Place:
    """Open a running stack's lake and warehouse."""
    return open_sandbox(read_settings(stack.environment()), REGION)


def provision_infrastructure(settings: Settings, region: str) -> None:
    """Create the bucket, roles, Glue jobs and workgroup that are missing; idempotent."""
    open_client = open_sandbox(settings, region).open_client
    s3 = open_client("s3")
    if settings.bucket not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=settings.bucket, CreateBucketConfiguration={"LocationConstraint": region})
    _create_roles(open_client("iam"))
    _create_jobs(open_client("glue"), settings)
    _create_workgroup(open_client("athena"), settings)


def _tolerate(codes: tuple[str, ...], call: Any, **arguments: Any) -> None:
    """Make a call, and ignore an error with one of these codes."""
    try:
        call(**arguments)
    except ClientError as refused:
        if refused.response["Error"]["Code"] not in codes:
            raise


def _create_roles(iam: Any) -> None:
    for role in (GLUE_ROLE, COPY_ROLE):
        _tolerate(("EntityAlreadyExists",), iam.create_role, RoleName=role, AssumeRolePolicyDocument="{}")


def _create_jobs(glue: Any, settings: Settings) -> None:
    for job in scripts.GLUE_JOBS:
        script = f"s3://{settings.bucket}/{script_prefix(scripts.digest_scripts())}{job.replace('-', '_')}.py"
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

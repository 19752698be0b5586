"""The provider's own hooks, which its operators stand on, against the sandbox."""

import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.aws.running import BUCKET, Sandbox


@pytest.fixture
def endpoint(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Sandbox:
    settings = {
        "AIRFLOW_HOME": os.environ.get("AIRFLOW_HOME", str(tmp_path)),
        "AWS_ENDPOINT_URL": sandbox.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return sandbox


def test_glue_hook_runs_a_job_that_exists(endpoint: Sandbox, s3: Any, capsys: pytest.CaptureFixture[str]) -> None:
    from airflow.providers.amazon.aws.hooks.glue import GlueJobHook
    from airflow.providers.common.compat.sdk import AirflowException

    name = f"hook-{uuid.uuid4().hex[:8]}"
    s3.put_object(Bucket=BUCKET, Key=f"{name}.py", Body="import sys; print('said'); sys.exit(sys.argv[-1] == 'fail')")
    command = {"Name": "glueetl", "ScriptLocation": f"s3://{BUCKET}/{name}.py"}
    endpoint.client("glue").create_job(Name=name, Role="glue", Command=command)
    hook = GlueJobHook(job_name=name, aws_conn_id=None, job_poll_interval=0.05)
    run = hook.initialize_job({"--how": "well"})["JobRunId"]
    assert hook.job_completion(name, run, verbose=True) == {"JobRunState": "SUCCEEDED", "JobRunId": run}
    assert "said" in capsys.readouterr().out
    failing = hook.initialize_job({"--how": "fail"})["JobRunId"]
    with pytest.raises(AirflowException, match="Run State: FAILED"):
        hook.job_completion(name, failing)


def test_athena_hook_waits_and_reads(endpoint: Sandbox, s3: Any) -> None:
    from airflow.providers.amazon.aws.hooks.athena import AthenaHook

    hook = AthenaHook(aws_conn_id=None)
    output = {"OutputLocation": f"s3://{BUCKET}/hook/"}
    query = hook.run_query("SELECT 5 / 2 AS halves", {"Database": "default"}, output)
    assert hook.poll_query_status(query, sleep_time=1) == "SUCCEEDED"
    rows = (hook.get_query_results(query) or {})["ResultSet"]["Rows"]
    assert rows == [{"Data": [{"VarCharValue": "halves"}]}, {"Data": [{"VarCharValue": "2"}]}]
    assert hook.get_output_location(query) == f"s3://{BUCKET}/hook/{query}.csv"
    refused = hook.run_query("SELECT len('x')", {"Database": "default"}, output)
    assert hook.poll_query_status(refused, sleep_time=1) == "FAILED"
    assert "Function 'len' not registered" in (hook.get_state_change_reason(refused) or "")


def test_redshift_hook_runs_a_batch(endpoint: Sandbox) -> None:
    from airflow.providers.amazon.aws.hooks.redshift_data import RedshiftDataHook, RedshiftDataQueryFailedError

    hook = RedshiftDataHook(aws_conn_id=None)
    target: dict[str, Any] = {"database": "dev", "workgroup_name": "analytics", "poll_interval": 0.05}
    done = hook.execute_query(["CREATE TEMP TABLE t (a INTEGER)", "SELECT count(*) FROM t"], **target)
    parts = hook.conn.describe_statement(Id=done.statement_id)["SubStatements"]
    assert hook.conn.get_statement_result(Id=parts[1]["Id"])["Records"] == [[{"longValue": 0}]]
    with pytest.raises(RedshiftDataQueryFailedError, match='relation "nowhere" does not exist'):
        hook.execute_query(["SELECT 1", "SELECT 1 FROM nowhere"], **target)

"""The server as a process: start, health, what it keeps, how it ends."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from sandbox.aws.state import FILE
from tests.sandbox.aws.running import BUCKET, ROOT, Sandbox, is_alive, wait_for

Launch = Callable[[], Sandbox]


def call(sandbox: Sandbox, path: str, method: str = "GET") -> dict[str, object]:
    request = urllib.request.Request(f"{sandbox.url}{path}", method=method)  # noqa: S310 - the sandbox's own address
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return json.loads(answer.read())


def fill(sandbox: Sandbox) -> None:
    s3, glue = sandbox.client("s3"), sandbox.client("glue")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="a/b.json", Body=b"{}" * 4000, Metadata={"source": "simulated"})
    glue.create_database(DatabaseInput={"Name": "market_data"})
    storage = {"Location": f"s3://{BUCKET}/t/", "Columns": [{"Name": "cap", "Type": "double"}]}
    keys = [{"Name": "trading_date", "Type": "date"}]
    glue.create_table(
        DatabaseName="market_data", TableInput={"Name": "t", "PartitionKeys": keys, "StorageDescriptor": storage}
    )
    glue.batch_create_partition(
        DatabaseName="market_data",
        TableName="t",
        PartitionInputList=[{"Values": ["2024-12-13"], "StorageDescriptor": storage}],
    )
    glue.create_job(Name="job", Role="r", Command={"Name": "glueetl", "ScriptLocation": f"s3://{BUCKET}/s.py"})
    sandbox.client("athena").create_work_group(Name="analytics")
    sandbox.client("iam").create_role(RoleName="copy", AssumeRolePolicyDocument="{}")
    sandbox.client("secretsmanager").create_secret(Name="key", SecretString="secret")
    run_sql(sandbox, "CREATE TABLE kept (a INTEGER)")
    run_sql(sandbox, "INSERT INTO kept VALUES (7)")


def run_sql(sandbox: Sandbox, sql: str) -> str:
    data = sandbox.client("redshift-data")
    call = data.execute_statement(Sql=sql, Database="dev", WorkgroupName="analytics")["Id"]
    state = wait_for(lambda: data.describe_statement(Id=call)["Status"], {"SUBMITTED", "PICKED", "STARTED"})
    assert state == "FINISHED"
    return call


def check(sandbox: Sandbox) -> None:
    with pytest.raises(ClientError, match="BucketAlready"):
        sandbox.client("s3", region="us-west-2").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "us-west-2"}
        )
    found = sandbox.client("s3").get_object(Bucket=BUCKET, Key="a/b.json")
    assert (found["Body"].read(), found["Metadata"]) == (b"{}" * 4000, {"source": "simulated"})
    glue = sandbox.client("glue")
    partitions = glue.get_partitions(DatabaseName="market_data", TableName="t")["Partitions"]
    assert [partition["Values"] for partition in partitions] == [["2024-12-13"]]
    assert glue.get_job(JobName="job")["Job"]["Command"]["ScriptLocation"] == f"s3://{BUCKET}/s.py"
    groups = sandbox.client("athena").list_work_groups()["WorkGroups"]
    assert {group["Name"] for group in groups} == {"primary", "analytics"}
    assert sandbox.client("iam").get_role(RoleName="copy")["Role"]["RoleName"] == "copy"
    assert sandbox.client("secretsmanager").get_secret_value(SecretId="key")["SecretString"] == "secret"
    result = sandbox.client("redshift-data").get_statement_result(Id=run_sql(sandbox, "SELECT a FROM kept"))
    assert result["Records"] == [[{"longValue": 7}]]


def test_health(sandbox: Sandbox) -> None:
    assert call(sandbox, "/sandbox/health") == {"status": "ok"}


def test_state_survives_a_restart_twice(launch: Launch) -> None:
    first = launch()
    fill(first)
    assert first.stop() == 0
    second = launch()
    check(second)
    assert second.stop() == 0
    check(launch())


def test_saves_on_request_and_a_kill_loses_only_what_came_after(launch: Launch) -> None:
    first = launch()
    fill(first)
    assert call(first, "/sandbox/save", "POST")["bytes"] == (first.state / FILE).stat().st_size
    first.client("s3").put_object(Bucket=BUCKET, Key="late", Body=b"")
    first.stop(signal.SIGKILL)
    second = launch()
    check(second)
    assert second.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="late")["KeyCount"] == 0


def test_a_save_cut_short_leaves_the_last_one_whole(launch: Launch) -> None:
    first = launch()
    fill(first)
    first.stop()
    (first.state / f"{FILE}.new").write_bytes((first.state / FILE).read_bytes()[:100])
    check(launch())


def test_saving_while_requests_run(launch: Launch) -> None:
    sandbox = launch()
    s3 = sandbox.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    saver = subprocess.Popen([sys.executable, "-c", SAVE_OFTEN, f"{sandbox.url}/sandbox/save"])
    for number in range(100):
        s3.put_object(Bucket=BUCKET, Key=f"k/{number}", Body=b"x" * 1000)
    assert saver.wait(60) == 0
    sandbox.stop()
    assert launch().client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 100


SAVE_OFTEN = """
import sys, urllib.request
for _ in range(8):
    urllib.request.urlopen(urllib.request.Request(sys.argv[1], method="POST")).read()
"""


def test_state_of_another_version_is_refused_in_one_line(launch: Launch, tmp_path: Path) -> None:
    first = launch()
    first.stop()
    saved = first.state / FILE
    saved.write_bytes(saved.read_bytes().replace(b"moto 5", b"moto 4", 1))
    command = [sys.executable, "-m", "sandbox.aws", "--state", str(first.state)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert str(first.state) in line
    assert "make sandbox-reset" in line


def test_a_directory_in_use_is_refused(launch: Launch) -> None:
    first = launch()
    command = [sys.executable, "-m", "sandbox.aws", "--state", str(first.state)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "in use by another sandbox" in done.stderr


def test_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    start = f"{sys.executable} -m sandbox.aws --state {tmp_path / 'state'} --ready-file {ready} & sleep 60"
    parent = subprocess.Popen(["/bin/sh", "-c", start], cwd=ROOT)
    wait_for(lambda: "up" if ready.exists() else "starting", {"starting"}, 30)
    child = json.loads(ready.read_text())["pid"]
    parent.kill()
    parent.wait()
    wait_for(lambda: str(is_alive(child)), {"True"}, 20)
    assert (tmp_path / "state" / FILE).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_runs_end_with_the_server(launch: Launch, number: int) -> None:
    sandbox = launch()
    s3, glue = sandbox.client("s3"), sandbox.client("glue")
    s3.create_bucket(Bucket=BUCKET)
    write_pid = "open(os.environ['HOME'] + '/pid', 'w').write(str(os.getpid()))"
    script = f"import os, time; {write_pid}; time.sleep(60)"
    s3.put_object(Bucket=BUCKET, Key="s.py", Body=script)
    glue.create_job(Name="slow", Role="r", Command={"Name": "glueetl", "ScriptLocation": f"s3://{BUCKET}/s.py"})
    glue.start_job_run(JobName="slow")

    def read_pid() -> str:
        return "".join(found.read_text() for found in (sandbox.state / "tmp").glob("*/pid"))

    pid = int(wait_for(read_pid, {""}, 20))
    assert is_alive(pid)
    os.kill(sandbox.process.pid, number)
    sandbox.process.wait(30)
    wait_for(lambda: str(is_alive(pid)), {"True"}, 20)

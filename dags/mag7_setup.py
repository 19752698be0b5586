"""# mag7_setup: prepares an account, or the sandbox, for the other DAGs

**What it does.** Uploads this checkout's Glue scripts and SQL under the digest of their content. Stores the facts of
include/data in the lake as the first version; versions that the lake has learned since stay. Creates missing
catalog databases, tables and columns. Migrates the warehouse's schema: each missing migration is applied in
order, in one transaction with its row in `market_data.schema_version`. It never removes anything: no table, column, row
or older version of the scripts.

**When it runs.** Never by itself. Run it once for a new account, and after every update of the checkout that changed
Glue scripts, tables or migrations; `resolve_session` of `mag7_daily` fails and says so. It may run beside other DAGs:
their runs keep the scripts that they started with, and a migration waits for a load in progress. A load by an older
checkout that starts after a column was added fails and is rolled back.

**Running it by hand.** Trigger it with or without a date; the date has no effect. A second run changes nothing. After
a failure, fix the cause and run it again: what was done stays, and it goes on where it stopped. Two runs at the same
time do no harm.

**What must be there before.** The bucket, the Glue jobs, the Athena and the Redshift workgroup and the role for COPY
are created by infrastructure code, in the sandbox by `sandbox/provision.py`; `check_infrastructure` names what is
missing.

**When it fails.** The failing task's last log line says what happened and what to do.

| task | fails when | what to do |
|---|---|---|
| check_infrastructure | a setting, bucket, job, workgroup or role is missing | set or create what it names |
| upload_scripts | writing to the bucket is not allowed | allow it, clear the task |
| publish_facts | a table of include/data, or a version in the lake, is damaged | restore what it names, clear it |
| create_catalog | a table of that name has another type of column | rename the table that it names |
| migrate_schema | the warehouse is newer than the checkout | use the checkout that migrated it, or a newer one |
| migrate_schema | a migration's file changed after it was applied | restore the file, write a new migration |
| migrate_schema | a migration was refused: it is rolled back | fix what it names, clear the task |
| check_setup | something is still missing, or was changed meanwhile | run it again |

**Connections and settings.** `aws_default`; `polygon_default` is not used. The environment variables of
`mag7.settings`.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import dag, get_current_context, task

from mag7.lake.keys import run_segment
from mag7.tasks import setup
from mag7.tasks.groups import default_args


@task
def check_infrastructure() -> None:
    """Check for what must be created before the setup can work."""
    dag_run = get_current_context()["dag_run"]
    setup.check_infrastructure(run_segment(dag_run.dag_id, dag_run.run_id))


@dag(
    dag_id="mag7_setup",
    doc_md=__doc__,
    schedule=None,
    start_date=pendulum.datetime(2000, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    tags=["mag7", "setup"],
    default_args=default_args(),
)
def mag7_setup() -> None:
    """Wire the setup: steps that do not depend on each other go on where one fails."""
    steps = (setup.upload_scripts, setup.publish_facts, setup.create_catalog, setup.migrate_schema)
    tasks = [task(step)() for step in steps]
    check_infrastructure() >> tasks >> task(task_id="check_setup")(setup.require_setup)()


mag7_setup()

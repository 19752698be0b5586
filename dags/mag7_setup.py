"""# mag7_setup: brings an account, or the sandbox, to the state that the other DAGs need

**What it does.** Uploads the Glue scripts and SQL of this checkout under the digest of their content, puts the facts of
include/data into the lake as the first version (later ones that the lake has learned itself stay), creates what
is missing of the two catalog databases, their tables and columns, and migrates the warehouse's schema forward:
every migration that it lacks, in order, each in one transaction with its row in `market_data.schema_version`.
It never takes anything away: no table, column, row or older version of the scripts.

**When it runs.** Never by itself. Run it once for a new account, and after every update of the checkout that changed
Glue scripts, tables or migrations; `mag7_daily` says so in `resolve_session`. It may run beside other DAGs: their
runs keep the scripts that they started with, and a migration waits for a load that is under way. A load by an older
checkout that starts after a column was added fails and is rolled back.

**Running it by hand.** Trigger it with or without a date; the date means nothing. A second run changes nothing. After
a failure mend the cause and run it again: what was done stays, it goes on where it stopped. Two at once do no harm.

**What must be there before.** The bucket, the Glue jobs, the Athena and the Redshift workgroup and the role for COPY
are made by infrastructure code, in the sandbox by `sandbox/provision.py`; `check_infrastructure` names what is not.

**When it fails.** The failing task's last log line says what happened and what to do.

| task | fails when | what to do |
|---|---|---|
| check_infrastructure | a setting, bucket, job, workgroup or role is missing | set or create what it names |
| upload_scripts | the bucket may not be written to | allow it, clear the task |
| publish_facts | a table of include/data, or a version in the lake, is damaged | restore what it names, clear it |
| create_catalog | a table of that name has another type of column | rename the table that it names |
| migrate_schema | the warehouse is newer than the checkout | use the checkout that migrated it, or a newer one |
| migrate_schema | a migration's file changed after it was applied | restore the file, write a new migration |
| migrate_schema | a migration was refused: it is rolled back | mend what it names, clear the task |
| check_setup | something is still missing, changed by somebody else meanwhile | run it again |

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
    """Say what must be created before anything can be set up."""
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
    """Wire the setup: what does not depend on another may go on where it fails."""
    steps = (setup.upload_scripts, setup.publish_facts, setup.create_catalog, setup.migrate_schema)
    made = [task(step)() for step in steps]
    check_infrastructure() >> made >> task(task_id="check_setup")(setup.require_setup)()


mag7_setup()

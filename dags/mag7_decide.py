"""# mag7_decide: asks a person whether the index changed

**What it does.** Shows a question that `mag7_constituents` stored as a table, and waits for a person to accept it,
reject it (it is not asked again unless later files begin to show it), or leave it open. The decision is published as a
new version of the facts, and published sessions that it changes are rebuilt by `mag7_backfill`.

**When it runs.** `mag7_constituents` starts one run for each question, named `question__` and its id. The run waits as
long as it takes; no other DAG waits for it. It needs Airflow's services: `airflow dags test mag7_decide` would wait
forever.

**Running it by hand.** Trigger it with `question`, the id that `mag7_constituents` logs: a question that was left open
is asked again. Answer it in the interface (Required Actions) or through the API
(`PATCH /api/v2/dags/mag7_decide/dagRuns/<run>/taskInstances/ask/-1/hitlDetails`).

**When it fails.** The failing task's last log line says what happened and what to do.

| task | fails when | what to do |
|---|---|---|
| show_question | there is no question with that id | trigger it with an id that `mag7_constituents` logs |
| ask | Airflow cannot store the request | clear it |
| record_answer | another person decided it first; the date is not a session near the change | read its last line |
| publish_answer | the lake cannot be read or written | clear it |
| list_repairs, repair | `mag7_backfill` is paused, or Airflow refuses to start it | unpause it, clear `repair` |

**Connections and settings.** `aws_default`, `polygon_default`; pool `polygon`; the variables of `mag7.settings`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pendulum
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Param, dag, get_current_context, task

from mag7.tasks import constituents, questions
from mag7.tasks.groups import default_args

if TYPE_CHECKING:
    from mag7.tasks.constituents import Outcome
    from mag7.tasks.questions import Recorded, Shown


@task
def show_question() -> Shown:
    """Show the question of this run as a subject and a table."""
    return questions.show_question(str(get_current_context()["params"]["question"]))


@task
def record_answer(response: dict[str, Any]) -> Recorded:
    """Store what the person decided."""
    return questions.record_answer(str(get_current_context()["params"]["question"]), response)


@task(pool="polygon")
def publish_answer(recorded: Recorded) -> Outcome:
    """Publish the changes of the decision as a version of the facts."""
    return constituents.publish_answer(recorded)


@task
def list_repairs(outcome: Outcome) -> list[dict[str, Any]]:
    """List the sessions to rebuild, as the conf of one run of mag7_backfill."""
    return [{"sessions": outcome["repair"], "repeat": True}] if outcome["repair"] else []


@dag(
    dag_id="mag7_decide",
    doc_md=__doc__,
    schedule=None,
    start_date=pendulum.datetime(2000, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=64,
    # It has no schedule: unpaused, it does nothing until there is a question, which somebody must see.
    is_paused_upon_creation=False,
    tags=["mag7", "facts"],
    params={
        "question": Param("", type="string", title="Question", description="The id that mag7_constituents logs"),
    },
    default_args=default_args(),
)
def mag7_decide() -> None:
    """Wire one question: show, ask, record, publish."""
    ask: Any = HITLOperator(
        task_id="ask",
        subject="{{ ti.xcom_pull(task_ids='show_question')['subject'] }}",
        body="{{ ti.xcom_pull(task_ids='show_question')['body'] }}",
        options=[questions.ACCEPT, questions.REJECT, questions.LEAVE_OPEN],
        params={
            "effective_date": Param(
                None,
                type=["null", "string"],
                format="date",
                title="Effective date",
                description="First session of the new state; empty: the date in the table",
            )
        },
        execution_timeout=None,
    )
    show_question() >> ask
    outcome = publish_answer(record_answer(ask.output))
    TriggerDagRunOperator.partial(
        task_id="repair", trigger_dag_id="mag7_backfill", fail_when_dag_is_paused=True
    ).expand(conf=list_repairs(outcome))


mag7_decide()

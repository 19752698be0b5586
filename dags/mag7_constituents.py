"""# mag7_constituents: keeps the members of the index up to date from sources that you switch on

**What it does.** Takes files about the index's members (holdings of IVV and SPY, announced changes, rows for the fact
tables), works out by rule what they prove, and publishes that as a new version of the facts. What no rule decides is
stored as a question for a person (`mag7_decide`). Published sessions that a new version changes are rebuilt by
`mag7_backfill`, which must be unpaused for that.

**When it runs.** Once for each session, 6 hours after its close, before `mag7_daily`. It never waits for a person.

**Sources.** The inbox (`inbox/` in the bucket) is always on: a file's name must begin with ivv, spy, changes, or a fact
table's name such as splits or issuer_ciks. `MAG7_IVV_URL`, `MAG7_SPY_URL` and `MAG7_CHANGES_URL` switch an address on;
`MAG7_TERMS_READ` must name it, too. Files stay in your bucket as received, below `raw/constituents/`.

**Running it by hand.** Trigger it without a date: it takes the last closed session. A list that is months old is
brought up to date by two files (IVV and SPY of the same session) in the inbox and one run.

**When it fails.** The failing task's last log line says what happened and what to do. A source that does not respond,
or sends what cannot be used, changes nothing: the others are used, and `report_sources` fails with the reasons.

| task | fails when | what to do |
|---|---|---|
| resolve_session | no session; facts are missing or damaged | read its last line |
| list_sources | an address is set whose terms were not read | read them, set MAG7_TERMS_READ |
| fetch | the lake cannot be read or written | clear it |
| read_files | the lake cannot be read or written | clear it |
| propose | the newest facts are damaged | restore the object that it names, clear it |
| publish_facts | another run kept publishing first | clear it |
| list_questions, ask_person | Airflow refuses to start `mag7_decide` | trigger it with the question's id |
| list_repairs, repair | `mag7_backfill` is paused, or Airflow refuses to start it | unpause it, clear `repair` |
| report_sources | a source failed or sent false data | read its last line; the next good file is used |
| send_alert | the topic refuses; the run's own state stays | read the log, clear it |

**Connections and settings.** `aws_default`, `polygon_default`; pool `polygon`; the variables of `mag7.settings`.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import dag, get_current_context, task

from mag7.tasks import constituents, proposal, received, session, sources
from mag7.tasks.groups import alert_at_end, default_args
from mag7.timetables import SessionTimetable

if TYPE_CHECKING:
    from mag7.tasks.constituents import Outcome
    from mag7.tasks.received import Fetched
    from mag7.tasks.sources import Source
    from mag7.tasks.window import Window

FIRST = date(2020, 11, 30)
START = pendulum.datetime(2000, 1, 1, tz="UTC")
POOL = "polygon"


@task
def resolve_session() -> Window:
    """Find the session of this run and pin the facts that it starts from."""
    with session.skip_closed_day():
        return session.resolve_evening(get_current_context()["dag_run"], FIRST)


@task(map_index_template="{{ source_label }}")
def fetch(source: Source) -> list[Fetched]:
    """Fetch the files of one source and store them as received."""
    get_current_context()["source_label"] = source["label"]  # type: ignore[typeddict-unknown-key]
    return sources.fetch(source)


@task(pool=POOL)
def propose(window: Window) -> dict[str, Any]:
    """Work out what the files prove, and log it."""
    return proposal.propose_facts(window)


@task(pool=POOL)
def publish_facts(window: Window) -> Outcome:
    """Publish what changed as a version, and store new questions."""
    return constituents.publish_facts(window)


@task
def list_questions(outcome: Outcome) -> list[dict[str, Any]]:
    """List the open questions, each as one run of mag7_decide; a run that exists is not started again."""
    return [{"trigger_run_id": f"question__{one}", "conf": {"question": one}} for one in outcome["questions"]]


@task
def list_repairs(outcome: Outcome) -> list[dict[str, Any]]:
    """List the sessions to rebuild, as the conf of one run of mag7_backfill."""
    return [{"sessions": outcome["repair"], "repeat": True}] if outcome["repair"] else []


@dag(
    dag_id="mag7_constituents",
    doc_md=__doc__,
    schedule=SessionTimetable(delay=timedelta(hours=6)),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    tags=["mag7", "facts"],
    default_args=default_args(),
)
def mag7_constituents() -> None:
    """Wire the evening's run: fetch, read, propose, publish, and start what follows."""
    window = resolve_session()
    fetched = fetch.expand(source=task(sources.list_sources)(window))
    read = task(received.read_files)(window, fetched)
    outcome = publish_facts(window)
    read >> propose(window) >> outcome
    ask = TriggerDagRunOperator.partial(
        task_id="ask_person", trigger_dag_id="mag7_decide", skip_when_already_exists=True
    ).expand_kwargs(list_questions(outcome))
    # Not unpaused here: it would fill every month since 2020, which its operator decides.
    repair = TriggerDagRunOperator.partial(
        task_id="repair", trigger_dag_id="mag7_backfill", fail_when_dag_is_paused=True
    ).expand(conf=list_repairs(outcome))
    outcome >> [ask, repair]
    task(sources.report_sources)(read, outcome)
    alert_at_end(window, can_be_late=False)


mag7_constituents()

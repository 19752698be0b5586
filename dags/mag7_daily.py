"""# mag7_daily: the Magnificent 7's share of the S&P 500, one run for each session

**What it does.** Collects every constituent's close and share count of one NYSE session, works out what share of
the index the seven make up, checks the result, publishes it in the lake and loads it into the warehouse.

**When it runs.** Once for each session, 8 h 30 min after the actual close (early closes too), never on a holiday. The
run of a day on which NYSE stayed closed at short notice is skipped, once the facts say so. While the provider has not
released the day, `collect_closes` tries again every 15 minutes without holding a worker.

**Running it by hand.** Trigger it without a logical date and with `trading_date`: that session is collected, even if
it was before; without a `trading_date` the last closed session is taken. (With a logical date it is that date's
session, but Airflow allows one run for each logical date.) A date that is not a closed session fails in
`resolve_session`, which names the sessions on both sides. Calls with a stored response are not made again (set
`collect_again` to make them), and a repeat changes no row. Any task of a run may be cleared, with the tasks after it.
Sessions before 2020-11-30 are not covered.

**Corrections.** A scheduled run fetches the closes of the 5 sessions before its own again (MAG7_CORRECTION_SESSIONS),
one call each, and publishes those that the provider has edited; a run by hand does so with `collect_corrections`. After
facts changed, `rebuild` rebuilds the published sessions from `trading_date` to `through` from stored responses,
without any call. `build_market_data` logs what differs from what is published. `explain` names a ticker whose price,
count, origin, splits, flags and responses `summarise` shows.

**When it fails.** The failing task's last log line says what happened and what to do. Nothing that readers see has
changed unless `publish` ran; everything fetched is stored.

| task | fails when | what to do |
|---|---|---|
| resolve_session | no session, not closed; a setting or the key is missing | trigger a date that it names; set it |
| resolve_session | scripts, tables, columns or facts are missing | run `mag7_setup`, then run this again |
| resolve_session | facts damaged or simulated; contradicting params; nothing to rebuild | read its last line |
| plan_batches, collect_* | wrong key, plan without access, no provider | set `polygon_default`, clear it |
| add_corrected | an object of stored closes is damaged: it is named | delete it, clear `collect_corrections` |
| build_market_data | stored responses are of two sources, or damaged | collect again from one of them |
| check_coverage | one of the seven or too many others are missing | read the reasons; run with `collect_again` |
| transform.* | a Glue run failed: its error and log tail are in the log | clear the task |
| run_check | Athena could not run a check | read its reason; clear it |
| judge_checks | a check finds a violation: the session is refused | read the table in its log; or `collect_again` |
| publish_splits | a file of splits is damaged: it is named | delete it, clear the task |
| publish_sessions | S3 or the catalog refused a write; newer facts change the session | clear it; clear the whole run |
| load.* | the load was rolled back, or differs from the lake | clear `write_manifests` and what follows |
| summarise | a section of the run's record is missing | clear the task that writes it |
| report_refusals | a session of the window was refused | as for the gate that refused it |
| write_run_manifest | the lake cannot be read or written; the run's own state stays | read the log, clear it |
| send_alert | the topic refuses, or tasks cannot be read; the run's own state stays | read the log, clear it |

**Manifest.** `write_run_manifest` writes `manifests/runs/<run>.json` to the lake, whatever the run's outcome: inputs
with digests, versions, rows, checks, flags, calls, seconds, and how a session differs from the one before. `summarise`
and the publishing tasks emit one asset event for each table (`mag7://warehouse/<table>`, `mag7://lake/<table>`).

**Alerts.** `send_alert` ends every run. Where a task failed, a session was refused or is partial, or a scheduled run
ended more than MAG7_LATE_HOURS after it was due, it sends one message to the SNS topic MAG7_ALERT_TOPIC (without one
it only logs it): what failed, what is stored, and the command that repeats the run or asks again. It is also sent
where the lake cannot be read, and then says that the run's record could not be read.

**Connections and settings.** `aws_default`, `polygon_default` (the key is its password); pool `polygon`; the
environment variables of `mag7.settings`.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.sdk import dag, get_current_context, task, task_group

from mag7.paths import SQL
from mag7.tasks import collect, corrections, document, look_back, run_reports, session, summary
from mag7.tasks.assets import describe_events, list_warehouse_assets
from mag7.tasks.groups import check_window, default_args, end_run, load_window, publish_window, transform_window
from mag7.tasks.request import Request, read_request, request_params
from mag7.tasks.session import skip_closed_day
from mag7.tasks.setup import require_setup
from mag7.tasks.templates import MACROS
from mag7.timetables import SessionTimetable

if TYPE_CHECKING:
    from airflow.sdk.definitions.xcom_arg import XComArg

    from mag7.tasks.collect import Batch
    from mag7.tasks.collector import CallCounts
    from mag7.tasks.window import Window

FIRST = date(2020, 11, 30)
# Long before FIRST: for an earlier date Airflow runs no task and reports success, so no date may be earlier.
START = pendulum.datetime(2000, 1, 1, tz="UTC")
POOL = "polygon"


def asked_for() -> Request:
    """Read this run's params, or what its schedule implies."""
    context = get_current_context()
    return read_request(context["params"], context["dag_run"].run_type)


@task
def resolve_session() -> Window:
    """Find the sessions of this run for all later tasks; fail where setup is missing."""
    with skip_closed_day():
        window = session.resolve_session(get_current_context()["dag_run"], FIRST, asked_for())
    require_setup()
    return window


@task.sensor(mode="reschedule", poke_interval=15 * 60, timeout=18 * 3600, pool=POOL)
def collect_closes(window: Window) -> Any:
    """Fetch every close in one call; wait while the provider has not released the day."""
    return collect.collect_closes(window, asked_for().asking)


@task(pool=POOL)
def collect_splits(window: Window) -> CallCounts:
    """Fetch every split by which counts are judged."""
    return collect.collect_splits(window, asked_for().asking)


@task
def plan_batches(window: Window) -> list[Batch]:
    """Divide the symbols into batches, including those of the session before that have no stored response."""
    return collect.plan_batches(window, asked_for().asking)


@task(pool=POOL, map_index_template="{{ batch_label }}")
def collect_details(batch: Batch) -> CallCounts:
    """Fetch the ticker details of one batch."""
    get_current_context()["batch_label"] = batch["label"]  # type: ignore[typeddict-unknown-key]
    return collect.collect_details(batch, asked_for().asking)


@task(pool=POOL)
def collect_look_back(window: Window) -> CallCounts:
    """Fetch counts beside splits, and earlier sessions of lines that cannot be priced otherwise."""
    return look_back.collect_look_back(window, asked_for().asking)


@task(pool=POOL)
def collect_corrections(window: Window) -> CallCounts:
    """Fetch the closes of the sessions before again, as the provider may have edited them."""
    return corrections.collect_corrections(window, wanted=asked_for().corrections)


@task
def add_corrected(window: Window) -> Window:
    """Add the earlier sessions whose closes were edited, to be rebuilt and published again."""
    return corrections.add_corrected(window, wanted=asked_for().corrections)


@task(outlets=list_warehouse_assets())
def summarise(window: Window, counts: Any) -> dict[str, int]:
    """Log and record the published sessions, and explain the requested line."""
    describe_events(get_current_context()["outlet_events"], list_warehouse_assets(), {"sessions": window["sessions"]})
    return summary.summarise(window, counts, run_reports.time_stages(get_current_context()), asked_for().explain)


@task_group(group_id="collect")
def collect_session(window: Window) -> list[XComArg]:
    """Collect everything that a session's document rests on; returns each task's call counts."""
    closes, splits, batches = collect_closes(window), collect_splits(window), plan_batches(window)
    details, look_back, corrected = (
        collect_details.expand(batch=batches),
        collect_look_back(window),
        collect_corrections(window),
    )
    # Details wait for the closes: before the day's release they rest on yesterday, and a provider that refuses the
    # first call need not refuse five hundred.
    closes >> [splits, batches, corrected]
    [splits, details] >> look_back
    return [closes, splits, details, look_back, corrected]


@dag(
    dag_id="mag7_daily",
    doc_md=__doc__,
    schedule=SessionTimetable(),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    tags=["mag7", "daily"],
    params=request_params(),
    template_searchpath=[str(SQL)],
    user_defined_macros=MACROS,
    default_args=default_args(),
)
def mag7_daily() -> None:
    """Wire the daily run: collect, build, check, publish, load."""
    window = resolve_session()
    collected = collect_session(window)
    corrected = add_corrected(window)
    built = task(document.build_market_data)(corrected)
    covered = task(document.check_coverage)(corrected)
    accepted = check_window(covered, transform_window(covered))
    reconciled = load_window(publish_window(accepted))
    summarised = summarise(accepted, collected)
    collected >> corrected >> built >> covered
    reconciled >> summarised >> task(summary.report_refusals)(corrected)
    end_run(window, collected, can_be_late=True)


mag7_daily()

"""# mag7_backfill: the history, one run for each month of sessions

**What it does.** Collects, builds, checks, publishes and loads every session of a month that is not complete yet:
years of history when it is first unpaused, and later the gaps that the daily runs left. Complete sessions are left
out. Where the stored responses suffice, no call is made.

**When it runs.** Once a month, a day and a half after mag7_daily ran for its last session, from 2020-11-30 on (the
first run is that session alone). Once unpaused (`airflow dags unpause mag7_backfill`), it catches up on every month
since then. It runs as many months at a time as AIRFLOW__CORE__MAX_ACTIVE_RUNS_PER_DAG allows, beside mag7_daily.

**Running it by hand.** `airflow backfill create --dag-id mag7_backfill --from-date 2022-01-01 --to-date 2022-12-31
--max-active-runs 8` runs whole months, eight at a time (10 without the option): more than the pool `polygon` has slots,
so that all slots are busy. Triggered with `start_date` and `end_date`, one run fills any range. Triggered with a
logical date, it fills the month of that date; without one, the month of the last closed session, up to that session.
With `repeat` it also rebuilds complete sessions from stored responses. With `sessions` it builds exactly those:
mag7_constituents and mag7_decide start such a run where facts changed. Any task may be cleared, with the tasks after
it.

**Few calls.** Closes cost one call for each session. Share counts are searched: where the sessions at both ends of a
span have the same count, it is taken for those between; where they differ, the span is halved. A count that changes and
changes back between two sessions that were asked about, or is missing there for a while, is overlooked, but for less
than a month, as a span never reaches over a month's last session. A session's document names the responses that it
rests on.

**Progress.** Each task of `collect_closes`, `collect_counts` and `build_market_data` logs how many sessions and calls
are done and left, and when that will be collected, then built, at the present rate.

**When it fails.** The failing task's last log line says what happened and what to do. Everything fetched is stored, and
sessions of the month that are not refused are published and loaded: `report_refusals` then fails and names the others,
which stay as they were. A run that was killed goes on where it stopped: clear its failed tasks, or the whole run.

| task | fails when | what to do |
|---|---|---|
| resolve_window | the range has no session, is in the future, begins too early | read its last line |
| resolve_window | a setting or the key is missing; `mag7_setup` was not run | set it; run `mag7_setup` |
| plan_* | the membership table is broken | fix include/data, clear it |
| collect_closes | no session of the run has closes: key, plan or provider | read its last line; clear it |
| collect_counts | the provider does not respond, or the plan does not reach so far back | clear it; a later range |
| build_market_data | stored responses are damaged: the object is named | delete it, clear `collect_counts` and this |
| check_coverage | every session lacks one of the seven or too many others | read the reasons, and below |
| every other task | as in mag7_daily | as in mag7_daily |

**Asking again.** No call with a stored response is made again. A session that is partial counts as complete: trigger
its range with `repeat`. Where a stored response is wrong, trigger mag7_daily with `trading_date` and `collect_again`.

**Manifest, asset events, alerts.** `write_run_manifest` and `send_alert` end every run, as in mag7_daily.

**Connections and settings.** As mag7_daily; `collect_counts` shares the pool `polygon` and the key's rate
limit with mag7_daily, whose tasks go first.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.sdk import dag, get_current_context, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from mag7.paths import SQL
from mag7.tasks import backfill, collect, document, look_back, run_reports, search, summary
from mag7.tasks.assets import describe_events, list_warehouse_assets
from mag7.tasks.groups import check_window, default_args, end_run, load_window, publish_window, transform_window
from mag7.tasks.request import Asking, range_params, read_range
from mag7.tasks.setup import require_setup
from mag7.tasks.templates import MACROS
from mag7.timetables import MonthTimetable

if TYPE_CHECKING:
    from airflow.sdk.definitions.xcom_arg import XComArg

    from mag7.tasks.collector import CallCounts
    from mag7.tasks.search import SearchBatch
    from mag7.tasks.window import Window

FIRST = date(2020, 11, 30)
# Long before FIRST: for an earlier date Airflow runs no task and reports success, so no date may be earlier.
START = pendulum.datetime(2000, 1, 1, tz="UTC")
POOL = "polygon"


@task
def resolve_window() -> Window:
    """Find the sessions of this run that are not complete; without any, the run is skipped."""
    context = get_current_context()
    window = backfill.resolve_window(context["dag_run"], FIRST, read_range(context["params"]))
    if not window["sessions"]:
        raise AirflowSkipException("every session of this run is complete: there is nothing to do")
    require_setup()
    return window


@task.sensor(mode="reschedule", poke_interval=15 * 60, timeout=18 * 3600, pool=POOL)
def collect_closes(window: Window) -> Any:
    """Fetch every close of every session; wait while the provider has not released the last day."""
    return collect.collect_range_closes(window)


@task(pool=POOL)
def collect_splits(window: Window) -> CallCounts:
    """Fetch every split by which counts are judged: one list for the month."""
    return collect.collect_splits(window, Asking.MISSING)


@task
def plan_batches(window: Window) -> list[SearchBatch]:
    """Divide the constituents into batches."""
    return search.plan_searches(window)


# A search takes minutes and all of the rate: the daily run and other months' first calls go before it.
@task(pool=POOL, map_index_template="{{ batch_label }}", priority_weight=1, weight_rule="absolute")
def collect_counts(window: Window, batch: SearchBatch) -> CallCounts:
    """Search the share counts of one batch of constituents over the whole window."""
    get_current_context()["batch_label"] = batch["label"]  # type: ignore[typeddict-unknown-key]
    return search.collect_counts(window, batch)


@task(pool=POOL)
def collect_look_back(window: Window) -> CallCounts:
    """Fetch counts beside splits, and earlier sessions of lines that cannot be priced otherwise."""
    return look_back.collect_look_back(window, Asking.MISSING)


@task
def plan_parts(window: Window) -> list[Window]:
    """Divide the sessions into parts."""
    return backfill.divide_window(window)


@task(map_index_template="{{ part_label }}")
def build_market_data(part: Window, window: Window) -> dict[str, str]:
    """Build the documents of a few sessions."""
    get_current_context()["part_label"] = f"{part['sessions'][0]} to {part['sessions'][-1]}"  # type: ignore[typeddict-unknown-key]
    return document.build_market_data(part, len(window["sessions"]))


@task(outlets=list_warehouse_assets())
def summarise(window: Window, counts: Any) -> dict[str, int]:
    """Record what the run did: sessions, calls, bytes, and seconds by stage."""
    context = get_current_context()
    describe_events(context["outlet_events"], list_warehouse_assets(), {"sessions": window["sessions"]})
    return summary.summarise(window, counts, run_reports.time_stages(context))


@task_group(group_id="collect")
def collect_window(window: Window) -> list[XComArg]:
    """Collect everything that the window's documents rest on; returns each task's call counts."""
    closes, splits, batches = collect_closes(window), collect_splits(window), plan_batches(window)
    counts = collect_counts.partial(window=window).expand(batch=batches)
    look_back = collect_look_back(window)
    # The search compares counts with closes, and looks beside the splits first.
    closes >> splits >> batches
    counts >> look_back
    return [closes, splits, counts, look_back]


@dag(
    dag_id="mag7_backfill",
    doc_md=__doc__,
    schedule=MonthTimetable(first=FIRST),
    start_date=START,
    catchup=True,
    tags=["mag7", "backfill"],
    params=range_params(),
    template_searchpath=[str(SQL)],
    user_defined_macros=MACROS,
    default_args=default_args(),
)
def mag7_backfill() -> None:
    """Wire a month's run: collect, build, check, publish, load."""
    window = resolve_window()
    collected = collect_window(window)
    parts = plan_parts(window)
    built = build_market_data.partial(window=window).expand(part=parts)
    covered = task(document.check_coverage)(window, parts)
    accepted = check_window(covered, transform_window(covered))
    reconciled = load_window(publish_window(accepted))
    summarised = summarise(accepted, collected)
    collected >> built >> covered
    reconciled >> summarised >> task(summary.report_refusals)(window)
    end_run(window, collected, can_be_late=False)


mag7_backfill()

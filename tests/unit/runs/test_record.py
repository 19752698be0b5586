"""The record of a run: sections that its tasks write, and the whole as this try has it."""

from __future__ import annotations

import pytest

from mag7.lake.objects import ObjectMissingError, ObjectStore
from mag7.runs.record import (
    Asked,
    Built,
    Check,
    Checks,
    Failure,
    Loaded,
    RecordDamagedError,
    RunRecord,
    Summary,
    clear_record,
    find_section,
    read_record,
    read_section,
    section_key,
    write_section,
)
from tests.unit.tasks.conftest import RUN

FAILED = Failure(task="check.judge_checks", error="ValueError", message="doubled", ours=False)
WHOLE = (
    Built(refused={"2024-12-12": ["no NVDA"], "2024-12-13": []}),
    Checks(checks=[Check(name="keys_unique", passed=True)], refused={"2024-12-13": ["doubled"]}),
    Loaded(rows={"2024-12-13": {"daily_trading": 7}}, splits=24),
    FAILED,
)


def test_a_section_is_read_back_and_replaced(store: ObjectStore) -> None:
    write_section(store, RUN, Built(refused={"2024-12-13": []}))
    write_section(store, RUN, Built(refused={"2024-12-13": ["no NVDA"]}))

    assert read_section(store, RUN, Built) == Built(refused={"2024-12-13": ["no NVDA"]})


def test_mapped_tasks_sections_do_not_meet(store: ObjectStore) -> None:
    write_section(store, RUN, Built(refused={"2024-12-12": []}), "2024-12-12")
    write_section(store, RUN, Built(refused={"2024-12-13": []}), "2024-12-13")

    assert find_section(store, RUN, Built) is None
    assert read_section(store, RUN, Built, "2024-12-12").refused == {"2024-12-12": []}


def test_a_missing_section_is_named(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissingError, match=f"{RUN}/record/built.json"):
        read_section(store, RUN, Built)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"checks": []}', b'{"checks": [], "refused": {}, "more": 1}'],
    ids=["none", "cut", "list", "bytes", "deep", "a field less", "a field more"],
)
def test_a_damaged_section_is_named(store: ObjectStore, body: bytes) -> None:
    store.put(section_key(RUN, Checks), body)

    for read in (read_record, lambda *place: read_section(*place, Checks), lambda *place: find_section(*place, Checks)):
        with pytest.raises(
            RecordDamagedError, match=r"checks\.json is not a section of a run's record: clear the whole"
        ):
            read(store, RUN)


def test_clearing_takes_one_runs_record_and_nothing_beside_it(store: ObjectStore) -> None:
    for section in WHOLE:
        write_section(store, RUN, section)
    write_section(store, f"{RUN}-2", FAILED)
    store.put(f"staging/{RUN}/market_data/x.json", b"{}")
    clear_record(store, RUN)

    assert [stored.key for stored in store.list("staging/")] == [
        f"staging/{RUN}-2/record/failure.json",
        f"staging/{RUN}/market_data/x.json",
    ]


class TestRecord:
    def test_is_whole_where_nobody_asks_about_attempts(self, store: ObjectStore) -> None:
        for section in WHOLE:
            write_section(store, RUN, section)
        built, checks, loaded, failure = WHOLE

        assert read_record(store, RUN) == RunRecord(built=built, checks=checks, loaded=loaded, failure=failure)  # type: ignore[arg-type]

    @pytest.mark.parametrize("state", ["upstream_failed", "running", "skipped", "None"])
    def test_what_an_earlier_attempt_left_is_not_used(self, store: ObjectStore, state: str) -> None:
        for section in WHOLE:
            write_section(store, RUN, section)
        states = {"check_coverage": "success", "check.judge_checks": "failed", "load.reconcile": state}

        assert read_record(store, RUN, states) == RunRecord(
            states=states,
            built=WHOLE[0],  # type: ignore[arg-type]
            checks=WHOLE[1],  # type: ignore[arg-type]
            failure=FAILED,
        )
        assert read_record(store, RUN, {"check.judge_checks": state}).failure is None

    def test_a_mapped_tasks_failure_is_this_attempts(self, store: ObjectStore) -> None:
        write_section(store, RUN, FAILED.model_copy(update={"task": "collect.collect_details"}))

        assert read_record(store, RUN, {"collect.collect_details_7": "failed"}).failure
        assert not read_record(store, RUN, {"collect.collect_details_7": "success"}).failure

    def test_a_backfill_with_nothing_to_do_says_what_it_was_asked_for(self, store: ObjectStore) -> None:
        write_section(store, RUN, Asked(asked=["2024-12-13"], complete=["2024-12-13"]))
        record = read_record(store, RUN, {"resolve_window": "skipped"})

        assert record.idle
        assert record.asked == Asked(asked=["2024-12-13"], complete=["2024-12-13"])

    def test_names_what_any_gate_refused_and_what_is_partial(self) -> None:
        profiles = {"2024-12-12": {"quality": "partial"}, "2024-12-13": {"quality": "complete"}}
        record = RunRecord(
            asked=Asked(asked=[], refused={"2024-12-11": ["not in the table"]}),
            built=WHOLE[0],  # type: ignore[arg-type]
            checks=WHOLE[1],  # type: ignore[arg-type]
            summary=Summary(sessions=profiles),
        )

        assert record.refused == {
            "2024-12-11": ["not in the table"],
            "2024-12-12": ["no NVDA"],
            "2024-12-13": ["doubled"],
        }
        assert record.partial == {"2024-12-12": {"quality": "partial"}}

    def test_tasks_that_tell_of_a_run_are_no_failures_of_it(self) -> None:
        states = {"collect.collect_details_3": "failed", "collect.collect_details_7": "failed"}
        states |= {"write_run_manifest": "failed", "send_alert": "failed"}

        assert RunRecord(states=states).failed == ["collect.collect_details"]

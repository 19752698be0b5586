"""The overrides of the calendar: closures and early closes announced at short notice."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

import pytest

from mag7.index.facts import load_packaged_facts
from mag7.session_calendar import (
    Override,
    OverrideInvalidError,
    Session,
    apply_overrides,
    read_overrides,
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class TestOverrides:
    def read(self, *rows: str) -> tuple[Override, ...]:
        body = "\n".join(["date,kind,close,announced,source", *rows]) + "\n"
        return read_overrides("session_overrides.csv", body.encode())

    def session(self) -> Session:
        return Session(date(2025, 1, 10), at("2025-01-10T14:30"), at("2025-01-10T21:00"))

    def test_the_projects_own_file_is_valid(self) -> None:
        assert date(2025, 1, 9) in {override.date for override in load_packaged_facts().overrides}

    def test_a_closure_removes_the_session(self) -> None:
        overrides = self.read("2025-01-10,closed,,2025-01-08,a notice")

        assert list(apply_overrides([self.session()], overrides)) == []

    def test_an_early_close_is_new_york_time(self) -> None:
        overrides = self.read("2025-01-10,early_close,13:00,2025-01-08,a notice")

        assert list(apply_overrides([self.session()], overrides)) == [
            Session(date(2025, 1, 10), at("2025-01-10T14:30"), at("2025-01-10T18:00"))
        ]

    def test_other_sessions_stay(self) -> None:
        assert list(apply_overrides([self.session()], [Override(date(2025, 1, 9), None, "")])) == [self.session()]

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (["2025-01-10,holiday,,2025-01-08,x"], "line 2: kind must be closed"),
            (["2025-01-10,closed,13:00,2025-01-08,x"], "line 2: kind must be closed"),
            (["2025-01-10,early_close,,2025-01-08,x"], "line 2: kind must be closed"),
            (["10.1.2025,closed,,2025-01-08,x"], "line 2: Invalid isoformat"),
            (["2025-01-10,closed,,,x", "2025-01-10,closed,,,y"], "each date once"),
            (["2025-01-10,closed,,,x", "2025-01-09,closed,,,y"], "in date order"),
            (["2025-01-10,closed,,2025-01-08"], "line 2: has 4 values, but must have 5"),
            (["2025-01-10,closed,,2025-01-08,x,y"], "line 2: has 6 values, but must have 5"),
            (["2025-01-10,early_close,13:00+05:00,2025-01-08,x"], "line 2: close is 13:00.05:00"),
        ],
    )
    def test_a_row_of_unknown_form_is_refused(self, rows: list[str], message: str) -> None:
        with pytest.raises(OverrideInvalidError, match=message):
            self.read(*rows)

    def test_unknown_columns_are_refused(self) -> None:
        with pytest.raises(OverrideInvalidError, match="must have the columns date,kind,close,announced,source"):
            read_overrides("session_overrides.csv", b"day,kind\n")

    def test_a_close_before_the_open_is_refused(self) -> None:
        with pytest.raises(OverrideInvalidError, match="2025-01-10 cannot close early at 08:00"):
            list(apply_overrides([self.session()], [Override(date(2025, 1, 10), time(8), "")]))

    def test_an_early_close_after_the_regular_one_is_refused(self) -> None:
        with pytest.raises(OverrideInvalidError, match=r"cannot close early at 20:00:00: .* closes at 21:00 UTC"):
            list(apply_overrides([self.session()], [Override(date(2025, 1, 10), time(20), "")]))

    def test_a_file_that_is_no_text_is_refused(self) -> None:
        with pytest.raises(OverrideInvalidError, match=r"session_overrides.csv is not comma-separated text in UTF-8"):
            read_overrides("session_overrides.csv", b"\xff\xfe")

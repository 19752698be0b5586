"""What Airflow registers of this project. Every scheduler, worker and server imports this file: it must stay light."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from mag7.timetables import MonthTimetable, SessionTimetable


class Mag7Plugin(AirflowPlugin):
    """Makes the timetables known, so that the scheduler can read a DAG that uses them."""

    name = "mag7"
    timetables = [MonthTimetable, SessionTimetable]  # noqa: RUF012  Airflow's own form of a plugin

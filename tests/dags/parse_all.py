"""Parses a folder of a plain DAG, then the project's; prints as JSON what that imported, touched and left.

Run as a script, in a process of its own: nothing else may have imported anything before.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TOUCHED: list[str] = []


def note(event: str, arguments: tuple[Any, ...]) -> None:
    """Note every connection to a network address or to a database."""
    if event in {"socket.connect", "socket.getaddrinfo", "sqlite3.connect"}:
        TOUCHED.append(f"{event} {arguments[-1] if event != 'socket.getaddrinfo' else arguments[0]}")


def main(baseline: str, folder: str) -> None:
    """Parse both folders and print what was found."""
    sys.addaudithook(note)
    from airflow.dag_processing.dagbag import DagBag

    plain = DagBag(baseline)
    if plain.import_errors or not plain.dags:
        raise SystemExit(f"the plain DAG cannot be parsed: {plain.import_errors}")
    before = set(sys.modules)
    bag = DagBag(folder)
    after = set(sys.modules) - before
    touched = list(TOUCHED)
    from airflow import plugins_manager
    from airflow.serialization.serialized_objects import DagSerialization

    round_trips = {}
    for dag_id, dag in bag.dags.items():
        back = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
        round_trips[dag_id] = {
            "timetable": f"{type(back.timetable).__module__}.{type(back.timetable).__qualname__}",
            "schedule": back.timetable.serialize(),
            "wires": {task_id: sorted(back.get_task(task_id).downstream_task_ids) for task_id in back.task_ids},
            "params": sorted(back.params),
            "bytes": len(json.dumps(DagSerialization.to_dict(dag))),
        }
    library = [path.stem for path in (Path(folder).parent / "plugins" / "mag7").rglob("*.py")]
    print(
        json.dumps(
            {
                "errors": bag.import_errors,
                "warnings": [warning for file in bag.captured_warnings.values() for warning in file],
                "dag_ids": sorted(bag.dags),
                "baseline_modules": sorted(before),
                "modules": sorted(after),
                "touched": touched,
                "timetables": sorted(plugins_manager.get_timetables_plugins()),
                "plugin_errors": plugins_manager.get_import_errors(),
                "loose_modules": sorted(
                    name
                    for name in library
                    if (loaded := sys.modules.get(name)) and str(loaded.__file__).startswith(str(Path(folder).parent))
                ),
                "round_trips": round_trips,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

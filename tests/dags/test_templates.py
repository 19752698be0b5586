"""Every Jinja template of every operator renders, and what it renders is what the services are meant to get."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.definitions.param import process_params
from jinja2 import StrictUndefined, UndefinedError

from mag7.lake.checks import list_checks
from mag7.lake.scripts import digest_scripts
from mag7.lake.tables import list_published_tables, list_tables
from mag7.tasks.templates import window_task
from tests.dags.test_policy import last_part

if TYPE_CHECKING:
    from airflow.sdk import DAG

RUN = "mag7_daily-manual__2024-12-13T000000"
WINDOW = {"run": RUN, "sessions": ["2024-12-12", "2024-12-13"], "facts": ""}
TEMPLATE_MARKS = re.compile(r"\{\{|\{%|\{#|%\}|\}\}|Undefined|\bNone\b")


class FakeTaskInstance:
    """Gives every window, and notes which tasks were asked for theirs."""

    def __init__(self) -> None:
        self.pulled: set[str] = set()

    def xcom_pull(self, task_ids: str) -> dict[str, Any]:
        self.pulled.add(task_ids)
        return WINDOW


@pytest.fixture(autouse=True)
def on_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings as on AWS, where each must be given."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("MAG7_BUCKET", "a-lake")
    monkeypatch.setenv("MAG7_BUCKET_OWNER", "123456789012")
    monkeypatch.setenv("MAG7_COPY_ROLE", "arn:aws:iam::123456789012:role/copy")


def instances(dag: DAG) -> Iterator[Any]:
    """Every operator of a DAG but those that run functions of ours; of a mapped one, each mapped instance."""
    for task in dag.tasks:
        if hasattr(task, "python_callable") or "_DecoratedOperator" in repr(getattr(task, "operator_class", "")):
            continue
        if not task.is_mapped:
            yield task.prepare_for_execution()
            continue
        ((name, values),) = task.expand_input.value.items()
        for value in values:
            yield task.unmap({name: value})


def render(dag: DAG, operator: Any, conf: dict[str, Any] | None = None) -> tuple[dict[str, Any], FakeTaskInstance]:
    """Render an operator's fields as Airflow does before it executes a task of a run with a conf."""
    ti = FakeTaskInstance()
    operator.resolve_template_files()
    params = process_params(dag, operator, conf, suppress_exception=False)
    context = {"ti": ti, "params": params, "task": operator, "dag": dag, "run_id": "manual"}
    environment = dag.get_template_env()
    assert environment.undefined is StrictUndefined
    operator.render_template_fields(context, environment)
    return {name: getattr(operator, name) for name in operator.template_fields}, ti


def rendered(dag: DAG, name: str) -> list[dict[str, Any]]:
    """The rendered fields of the operator of a name, of each mapped instance."""
    return [render(dag, operator)[0] for operator in instances(dag) if last_part(operator.task_id) == name]


@pytest.fixture
def daily(dags: dict[str, DAG]) -> DAG:
    return dags["mag7_daily"]


def test_every_field_of_every_operator_renders(dag: DAG) -> None:
    operators = list(instances(dag))

    assert {last_part(operator.task_id) for operator in operators} == {
        "processing_pipeline",
        "analytics_pipeline",
        "run_check",
        "load_tables",
        "count_window",
    }
    for operator in operators:
        fields, ti = render(dag, operator)
        for name, value in fields.items():
            if value is not None:
                assert not TEMPLATE_MARKS.search(str(value)), f"{operator.task_id}.{name}: {value}"
        assert ti.pulled == {window_task(operator.task_id)}


def test_a_runs_conf_cannot_change_what_a_template_works_on(dag: DAG) -> None:
    names = {"window", "run", "sessions", "task", "ti", "window_task"} - {*dag.params}
    conf = dict.fromkeys(names, "resolve_session")
    for operator, overridden in zip(instances(dag), instances(dag), strict=True):
        fields, ti = render(dag, operator)
        fields_with_conf, ti_with_conf = render(dag, overridden, conf)

        assert fields_with_conf == fields
        assert ti_with_conf.pulled == ti.pulled == {window_task(operator.task_id)}


def test_an_unknown_name_is_an_error_not_an_empty_text(daily: DAG) -> None:
    operator = next(instances(daily))
    operator.script_args = {"--sessions": "{{ sesions() }}"}

    with pytest.raises(UndefinedError, match="sesions"):
        render(daily, operator)


class TestLoad:
    def statements(self, daily: DAG) -> list[str]:
        (fields,) = rendered(daily, "load_tables")
        return [" ".join(statement.split()) for statement in fields["sql"]]

    def test_is_one_batch_that_the_service_takes(self, daily: DAG) -> None:
        statements = self.statements(daily)

        assert len(statements) == 29
        assert len(statements) <= 40
        assert [statement for statement in statements if ";" in statement] == []

    def test_locks_first_then_takes_each_table_in_four_steps(self, daily: DAG) -> None:
        lock, *steps = self.statements(daily)
        tables = [table.name for table in list_published_tables()]

        assert lock == "LOCK TABLE " + ", ".join(f"market_data.{table}" for table in tables)
        for table, start in zip(tables, range(0, len(steps), 4), strict=True):
            create, load, delete, insert = steps[start : start + 4]
            assert create == f"CREATE TEMPORARY TABLE {table}_staging (LIKE market_data.{table})"
            assert load == (
                f"COPY {table}_staging FROM 's3://a-lake/staging/{RUN}/manifests/{table}.json'"
                " IAM_ROLE 'arn:aws:iam::123456789012:role/copy' FORMAT AS PARQUET MANIFEST"
            )
            where = "WHERE trading_date IN (DATE '2024-12-12', DATE '2024-12-13')"
            if table == "splits":
                where = (
                    "USING splits_staging WHERE splits.issuer = splits_staging.issuer"
                    " AND splits.execution_date = splits_staging.execution_date"
                )
            assert delete == f"DELETE FROM market_data.{table} {where}"  # noqa: S608 - compared, not run
            first = "execution_date" if table == "splits" else "trading_date"
            assert insert.startswith(f'INSERT INTO market_data.{table} ("{first}", ')

    def test_inserts_every_declared_column_by_name(self, daily: DAG) -> None:
        inserts = [statement for statement in self.statements(daily) if statement.startswith("INSERT")]

        for table, insert in zip(list_published_tables(), inserts, strict=True):
            columns = ", ".join(f'"{column.name}"' for column in table.columns)
            into, taken = insert.removesuffix(f" FROM {table.name}_staging").split(" SELECT ")
            assert into == f"INSERT INTO market_data.{table.name} ({columns})"
            assert taken == columns

    def test_counts_each_table_of_the_windows_sessions(self, daily: DAG) -> None:
        (fields,) = rendered(daily, "count_window")
        sessions, splits = fields["sql"]

        for table in list_tables():
            assert f"'{table.name}' AS table_name" in sessions
            assert f"FROM market_data.{table.name}\n" in sessions
        assert sessions.count("IN (DATE '2024-12-12', DATE '2024-12-13')") == 1
        assert "FROM market_data.splits\n" in splits

    def test_goes_to_the_workgroup_of_the_settings(self, daily: DAG, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MAG7_REDSHIFT_WORKGROUP", "elsewhere")

        for name in ("load_tables", "count_window"):
            (fields,) = rendered(daily, name)
            assert (fields["workgroup_name"], fields["database"]) == ("elsewhere", "dev")


class TestChecks:
    def test_one_query_a_check_in_the_gates_order(self, daily: DAG) -> None:
        (run_check,) = [task for task in daily.tasks if last_part(task.task_id) == "run_check"]

        assert run_check.expand_input.value["query"] == [f"athena/checks/{name}.sql" for name in list_checks()]
        assert len(list_checks()) == 14

    def test_read_staging_of_this_run_and_window_only(self, daily: DAG) -> None:
        for fields in rendered(daily, "run_check"):
            tables = re.findall(r"\b(market_data\w*)\.\w+", fields["query"])
            assert set(tables) == {"market_data_staging"}
            assert fields["query"].count(f"run = '{RUN}'") == len(tables)
            assert "DATE '2024-12-12'" in fields["query"]

    def test_are_shown_by_the_sentence_that_must_hold(self, daily: DAG) -> None:
        labels = []
        for operator in [found for found in instances(daily) if last_part(found.task_id) == "run_check"]:
            render(daily, operator)
            (mapped,) = [task for task in daily.tasks if task.task_id == operator.task_id]
            template = daily.get_template_env().from_string(mapped.partial_kwargs["map_index_template"])
            labels.append(template.render(task=operator))

        assert len(set(labels)) == len(list_checks())
        for label in labels:
            assert label.endswith(".")
            assert 20 < len(label) < 130
            assert not label.startswith("-")

    def test_bounds_come_from_the_settings(self, daily: DAG, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MAG7_MAXIMUM_COMPANY_PCT", "17.25")

        assert [fields for fields in rendered(daily, "run_check") if "17.25 % bound" in fields["query"]]


class TestGlue:
    @pytest.mark.parametrize("job", ["processing_pipeline", "analytics_pipeline"])
    def test_a_run_gets_this_versions_scripts_and_its_sessions_by_name(self, daily: DAG, job: str) -> None:
        (fields,) = rendered(daily, job)
        arguments = fields["script_args"]
        scripts = f"s3://a-lake/glue/scripts/{digest_scripts()}/"

        assert arguments["--scriptLocation"] == f"{scripts}{job}.py"
        assert arguments["--extra-py-files"] == f"{scripts}market_documents.py,{scripts}market_tables.py"
        assert {f"{scripts}table_columns.json", f"{scripts}market_data.schema.json"} <= {
            *arguments["--extra-files"].split(",")
        }
        assert arguments["--bucket"] == "a-lake"
        assert arguments["--staging"] == f"staging/{RUN}"
        assert arguments["--sessions"] == "2024-12-12,2024-12-13"
        assert fields["job_name"] == job.replace("_", "-")

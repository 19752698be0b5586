"""The layout of the lake: every key and prefix of the bucket is built here."""

from __future__ import annotations

import hashlib
import re
from datetime import date

DATABASE = "market_data"
STAGING_DATABASE = "market_data_staging"
_LONGEST_SEGMENT = 300
"""Bytes of a path segment; a key of S3 has 1,024 bytes in all."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def run_segment(dag_id: str, run_id: str) -> str:
    """Name a DAG run in one path segment, from letters, digits, dot, underscore and hyphen only.

    Where characters are dropped, a digest keeps apart two runs whose names differ in nothing else.
    """
    name = f"{dag_id}-{run_id}"
    safe = _UNSAFE.sub("", name)[:_LONGEST_SEGMENT]
    return safe if safe == name else f"{safe}-{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"


def answers_prefix(endpoint: str, trading_date: date) -> str:
    """Prefix of the provider's responses of one endpoint for one date, as received."""
    return f"raw/polygon/{endpoint}/trading_date={trading_date.isoformat()}/"


def answers_month_prefix(endpoint: str, month: date) -> str:
    """Prefix of an endpoint's responses for all the dates of a month."""
    return answers_prefix(endpoint, month).removesuffix(f"-{month:%d}/")


def answers_date(key: str) -> date:
    """The date of an object of responses."""
    return date.fromisoformat(key.partition("/trading_date=")[2].partition("/")[0])


def lock_key(endpoint: str, trading_date: date, part: int, parts: int) -> str:
    """Lock held while one part of an endpoint's responses for a date is fetched."""
    return f"claims/{endpoint}/trading_date={trading_date.isoformat()}/part-{part}-of-{parts}"


def document_key(trading_date: date) -> str:
    """The session's published document."""
    return f"raw/magnificent7/trading_date={trading_date.isoformat()}/market_data.json"


def document_month_prefix(month: date) -> str:
    """Prefix of the published documents of all the sessions of a month."""
    return document_key(month).removesuffix(f"-{month:%d}/market_data.json")


def pending_prefix() -> str:
    """Prefix of the marks of sessions that are not loaded yet."""
    return "pending/"


def pending_key(trading_date: date) -> str:
    """Mark of a session whose files are published but not yet loaded into the warehouse."""
    return f"{pending_prefix()}trading_date={trading_date.isoformat()}"


def staging_prefix(run: str) -> str:
    """Prefix of a run's staging; without a slash at the end."""
    return f"staging/{run}"


def staged_document_key(run: str, trading_date: date) -> str:
    """The session's document before it is published."""
    return f"{staging_prefix(run)}/market_data/trading_date={trading_date.isoformat()}/market_data.json"


def staged_table_prefix(run: str, form: str, table: str, trading_date: date) -> str:
    """The folder in which a Glue job writes one file of a table and session; form is processed or analytics."""
    return f"{staging_prefix(run)}/{form}/{table}/trading_date={trading_date.isoformat()}/"


def manifest_key(run: str, table: str) -> str:
    """The COPY manifest of a run's window for one table: which files Redshift loads."""
    return f"{staging_prefix(run)}/manifests/{table}.json"


def record_prefix(run: str) -> str:
    """Prefix of the sections of a run's record."""
    return f"{staging_prefix(run)}/record/"


def run_manifest_key(run: str) -> str:
    """The manifest of a run: its inputs, its results and how it went."""
    return f"manifests/runs/{run}.json"


def session_manifest_key(trading_date: date) -> str:
    """The part about a session in the manifest of the run that published it last."""
    return f"manifests/sessions/trading_date={trading_date.isoformat()}.json"


def closes_key(run: str) -> str:
    """The closes with which the parts of a run's search compare counts."""
    return f"{staging_prefix(run)}/closes.json"


def processed_prefix(table: str, trading_date: date) -> str:
    """The published partition of a table, for Athena."""
    return f"processed/{table}/trading_date={trading_date.isoformat()}/"


def processed_key(table: str, trading_date: date) -> str:
    """The one file of a published partition."""
    return f"{processed_prefix(table, trading_date)}data.parquet"


def analytics_key(table: str, day: date) -> str:
    """The published flat file of a table and session, for COPY; of splits, that of an execution date."""
    return f"analytics/{table}/{day.isoformat()}.parquet"


def analytics_month_prefix(table: str, month: date) -> str:
    """Prefix of a table's published flat files of all the sessions of a month."""
    return analytics_key(table, month).removesuffix(f"-{month:%d}.parquet")


def split_day_prefix(execution_date: date) -> str:
    """The published partition of the splits executed on a day, for Athena."""
    return f"processed/splits/execution_date={execution_date.isoformat()}/"


def split_day_key(execution_date: date) -> str:
    """The one file of a day's splits in the partitioned form; the flat form lies at ``analytics_key``."""
    return f"{split_day_prefix(execution_date)}data.parquet"


def staged_splits_key(run: str) -> str:
    """The splits that a run loads into the warehouse, in one flat file."""
    return f"{staging_prefix(run)}/analytics/splits/splits.parquet"


def script_prefix(digest: str) -> str:
    """Prefix of one version of the Glue scripts and their SQL."""
    return f"glue/scripts/{digest}/"


def fact_log_prefix() -> str:
    """Prefix of the entries of the log of facts."""
    return "facts/log/"


def fact_log_key(number: int) -> str:
    """An entry of the log of facts: a version."""
    return f"{fact_log_prefix()}{number:08d}.json"


def fact_table_key(name: str, digest: str) -> str:
    """A table of facts, by its file name and the SHA-256 of its contents."""
    stem, _, form = name.rpartition(".")
    return f"facts/tables/{stem}/{digest}.{form}"


def inbox_prefix() -> str:
    """Prefix where people put files for mag7_constituents: holdings, announced changes, rows of fact tables."""
    return "inbox/"


def constituent_files_prefix(kind: str = "") -> str:
    """Prefix of files about the index's members as received, by kind and session."""
    return f"raw/constituents/{kind}/" if kind else "raw/constituents/"


def constituent_file_key(kind: str, session: date, digest: str, name: str) -> str:
    """A file about the index's members as received: its kind, the session it was asked for, digest and name."""
    return f"{constituent_files_prefix(kind)}session={session.isoformat()}/{digest[:16]}-{_UNSAFE.sub('-', name)}"


def refused_file_key(key: str) -> str:
    """A file that cannot be used, which is not read again."""
    return key.replace("raw/constituents/", "raw/constituents-refused/", 1)


def used_rows_prefix() -> str:
    """Prefix of files of rows for fact tables that are part of a version."""
    return constituent_files_prefix("used-rows")


def used_rows_key(key: str) -> str:
    """A file of rows that are part of a version, so that they are not added again."""
    return key.replace(constituent_files_prefix("inbox-rows"), used_rows_prefix(), 1)


def staged_fact_key(run: str, name: str) -> str:
    """A table of facts that a run proposes, before it is part of a version."""
    return f"{staging_prefix(run)}/facts/{name}"


def fact_doubt_key() -> str:
    """What is in doubt about the members: written by each run of mag7_constituents."""
    return "facts/doubt.json"


def questions_prefix() -> str:
    """Prefix of the questions that a person decides."""
    return "facts/questions/"


def question_key(identifier: str) -> str:
    """A question that a person decides, by its id."""
    return f"{questions_prefix()}{identifier}.json"


def answers_to_questions_prefix() -> str:
    """Prefix of people's decisions, by the question's id."""
    return "facts/decisions/"


def answer_key(identifier: str) -> str:
    """A person's decision of a question."""
    return f"{answers_to_questions_prefix()}{identifier}.json"

"""Redshift's SQL on DuckDB: the kind of a statement, the tables it uses, and its translation."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp

from sandbox.aws.redshift_locks import RedshiftError

MAX_VARCHAR = 65535
DEFAULT_VARCHAR = 256
TEXT_TYPES = {"VARCHAR", "NVARCHAR", "TEXT", "CHAR", "NCHAR", "BPCHAR"}
NUMBER_TYPES = {"SMALLINT", "INT", "BIGINT", "DECIMAL", "FLOAT", "DOUBLE", "BOOLEAN"}
TYPES = TEXT_TYPES | NUMBER_TYPES | {"DATE", "TIMESTAMP", "TIMESTAMPTZ"}
PHYSICAL = (exp.DistKeyProperty, exp.SortKeyProperty, exp.DistStyleProperty, exp.BackupProperty)
KINDS: dict[type[Any], str] = {
    exp.Query: "query",
    exp.Insert: "write",
    exp.Update: "write",
    exp.Delete: "write",
    exp.Merge: "write",
    exp.TruncateTable: "truncate",
    exp.Create: "define",
    exp.Drop: "define",
    exp.Alter: "define",
    exp.Comment: "define",
    exp.Copy: "copy",
    exp.Transaction: "begin",
    exp.Commit: "commit",
    exp.Rollback: "rollback",
    exp.Analyze: "nothing",
    exp.Grant: "nothing",
    exp.Revoke: "nothing",
}


@dataclass(frozen=True)
class Statement:
    """A statement ready to run: sql is DuckDB's, tables are `schema.table`, temporary ones left out."""

    kind: str
    sql: str
    writes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    tree: Any = None


def prepare(
    sql: str, parameters: Mapping[str, str], temporary: set[str], describe: Callable[[str, str], str]
) -> Statement:
    """Translate one statement.

    parameters fill :name placeholders, as text. temporary names the session's own tables; a CREATE TEMP TABLE adds to
    it. describe(schema, table) returns the DuckDB CREATE TABLE of an existing table, for LIKE. Raises RedshiftError for
    what Redshift refuses and what the sandbox does not support.
    """
    sql = re.sub(r"^(\s*--[^\n]*(\n|$)|\s*/\*.*?\*/)*", "", sql, flags=re.DOTALL).strip().rstrip(";").strip()
    word, _, rest = re.sub(r"\s+", " ", sql).partition(" ")
    if word.upper() == "LOCK":
        names = re.sub(r"(?i)^TABLE ", "", rest).split(",")
        return Statement("lock", "", writes=tuple(_full_name(*_split_name(name)) for name in names))
    if word.upper() == "VACUUM":
        return Statement("nothing", "")
    if word.upper() == "START":
        return Statement("begin", "")
    tree = _parse(sql)
    kind = next((kind for node, kind in KINDS.items() if isinstance(tree, node)), None)
    if kind is None:
        raise RedshiftError(f"{word.upper()} is not supported by the sandbox: {sql[:80]}")
    tree = tree.transform(_fill(parameters))
    for name in tree.find_all(exp.Identifier):
        name.set("quoted", True if name.name.startswith("#") else name.args.get("quoted"))
    if isinstance(tree, exp.Alter) and any(isinstance(action, exp.ColumnDef) for action in tree.args["actions"]):
        return Statement(kind, _add_column(tree, describe), _names([tree.this], None, temporary), (), tree)
    if isinstance(tree, exp.Create):
        tree = _define(tree, temporary, describe)
    target = _find_target(tree) if kind != "query" else None
    touched = [node for node in tree.find_all(exp.Table) if node.name]
    reads = _names([node for node in touched if node is not target], tree, temporary)
    writes = _names([target] if target else [], None, temporary)
    if kind == "truncate":
        return Statement(kind, exp.delete(tree.expressions[0]).sql("duckdb"), writes, (), tree)
    return Statement(kind, tree.sql(dialect="duckdb"), writes, reads, tree)


def _parse(sql: str) -> Any:
    sql = re.sub(r"(?i)\bSORTKEY\s+AUTO\b", "", sql)  # Redshift's own choice; sqlglot expects columns here
    try:
        trees = [tree for tree in sqlglot.parse(sql, read="redshift") if tree]
    except sqlglot.errors.SqlglotError as error:
        raise RedshiftError(f'syntax error: {str(error).splitlines()[0]} in "{sql[:80]}"') from error
    if len(trees) != 1:
        raise RedshiftError("cannot insert multiple commands into a prepared statement")
    return trees[0]


def _fill(parameters: Mapping[str, str]) -> Callable[[Any], Any]:
    def fill(node: Any) -> Any:
        if not isinstance(node, exp.Placeholder):
            return node
        if node.name not in parameters:
            raise RedshiftError(f"Parameters list is missing :{node.name}")
        return exp.Literal.string(parameters[node.name])

    return fill


def _find_target(tree: Any) -> Any:
    this = tree.expressions[0] if isinstance(tree, exp.TruncateTable) else tree.this
    this = this.this if isinstance(this, exp.Schema) else this
    return this if isinstance(this, exp.Table) else None


def _names(nodes: list[Any], tree: Any, temporary: set[str]) -> tuple[str, ...]:
    ctes = {cte.alias.lower() for cte in tree.find_all(exp.CTE)} if tree else set()
    named = [(node.db.lower(), node.name.lower()) for node in nodes]
    kept = [(schema, name) for schema, name in named if schema or name not in temporary | ctes]
    return tuple(dict.fromkeys(_full_name(schema, name) for schema, name in kept))


def _split_name(name: str) -> tuple[str, str]:
    schema, _, table = name.strip().replace('"', "").lower().rpartition(".")
    return schema, table


def _full_name(schema: str, name: str) -> str:
    return f"{schema or 'public'}.{name}"


def _define(tree: Any, temporary: set[str], describe: Callable[[str, str], str]) -> Any:
    if tree.kind == "VIEW":
        tree.set("no_schema_binding", None)
        return tree
    if tree.kind not in {"TABLE", "SCHEMA"}:
        raise RedshiftError(f"CREATE {tree.kind} is not supported by the sandbox")
    if tree.kind == "TABLE":
        target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
        if target.name.startswith("#") or tree.find(exp.TemporaryProperty):
            temporary.add(target.name.lower())
        like = tree.find(exp.LikeProperty)
        if like is not None:
            return _copy_definition(tree, target, like, describe)
        _drop_attributes(tree)
        if isinstance(tree.this, exp.Schema):
            _drop_keys(tree.this)
            for column in tree.this.find_all(exp.ColumnDef):
                limit_column(column)
    return tree


def _add_column(tree: Any, describe: Callable[[str, str], str]) -> str:
    """Write ADD COLUMN for DuckDB: a new table takes the rows, because a check cannot be added to an existing table.

    A check limits the length of a text column.
    """
    column, target = _check_new_column(tree), tree.this
    definition = sqlglot.parse_one(describe(target.db.lower(), target.name.lower()), read="duckdb")
    held = [part for part in definition.this.expressions if isinstance(part, exp.ColumnDef)]
    if column.name.lower() in {part.name.lower() for part in held}:
        raise RedshiftError(f'column "{column.name}" of relation "{target.name}" already exists')
    limit_column(column)
    rest = [part for part in definition.this.expressions if not isinstance(part, exp.ColumnDef)]
    definition.this.set("expressions", [*held, column, *rest])
    definition.this.set("this", target.copy())
    before = exp.table_(f"{target.name}__before", db=target.args.get("db"), quoted=True)
    names = ", ".join(part.this.sql("duckdb") for part in held)
    into, source = target.sql("duckdb"), before.sql("duckdb")
    return "; ".join(
        [
            f"ALTER TABLE {into} RENAME TO {before.this.sql('duckdb')}",
            definition.sql(dialect="duckdb"),
            f"INSERT INTO {into} ({names}) SELECT {names} FROM {source}",  # noqa: S608  # nosec B608 # names of this table
            f"DROP TABLE {source}",
        ]
    )


def _check_new_column(tree: Any) -> Any:
    """Refuse what Redshift refuses in ADD COLUMN, and drop storage attributes."""
    column, *more = tree.args["actions"]
    if more or column.args.get("exists"):
        raise RedshiftError("syntax error: ADD COLUMN takes one column and knows no IF NOT EXISTS")
    kinds = [constraint.kind for constraint in column.find_all(exp.ColumnConstraint)]
    defaults = [kind.this for kind in kinds if isinstance(kind, exp.DefaultColumnConstraint)]
    required = any(isinstance(kind, exp.NotNullColumnConstraint) and not kind.args.get("allow_null") for kind in kinds)
    if required and (not defaults or isinstance(defaults[0], exp.Null)):
        raise RedshiftError("ALTER TABLE ADD COLUMN defined as NOT NULL must have a non-null default expression")
    for constraint in list(column.find_all(exp.ColumnConstraint)):
        if isinstance(constraint.kind, exp.EncodeColumnConstraint):
            constraint.pop()
        elif not isinstance(constraint.kind, exp.DefaultColumnConstraint | exp.NotNullColumnConstraint):
            raise RedshiftError(f"ALTER TABLE ADD COLUMN cannot take {constraint.sql('redshift')}")
    return column


def _copy_definition(tree: Any, target: Any, like: Any, describe: Callable[[str, str], str]) -> Any:
    copied = sqlglot.parse_one(describe(like.this.db.lower(), like.this.name.lower()), read="duckdb")
    copied.this.set("this", target)
    if target.name.lower().startswith("#") or tree.find(exp.TemporaryProperty):
        copied.set("properties", exp.Properties(expressions=[exp.TemporaryProperty()]))
    copied.set("exists", tree.args.get("exists"))
    if not any(isinstance(option, exp.Property) for option in like.expressions):
        for constraint in list(copied.find_all(exp.ColumnConstraint)):
            if isinstance(constraint.kind, exp.DefaultColumnConstraint):
                constraint.pop()
    return copied


def _drop_attributes(tree: Any) -> None:
    """Check that the columns of the table attributes exist, then drop distribution and sort attributes."""
    columns = {column.name.lower() for column in tree.this.find_all(exp.ColumnDef)}
    if isinstance(tree.expression, exp.Query):
        columns = {name.lower() for name in tree.expression.named_selects}
    for attribute in list(tree.find_all(*PHYSICAL)):
        if isinstance(attribute, exp.DistKeyProperty | exp.SortKeyProperty):
            named = attribute.this if isinstance(attribute.this, list) else [attribute.this]
            for column in named:
                if column.name.lower() not in columns and "*" not in columns:
                    raise RedshiftError(f'column "{column.name}" named in table attributes does not exist')
        attribute.pop()


def _drop_keys(schema: Any) -> None:
    """Drop keys, which Redshift declares but does not enforce; the columns of a primary key stay NOT NULL."""
    columns = {column.name.lower(): column for column in schema.find_all(exp.ColumnDef)}
    for key in list(schema.find_all(exp.PrimaryKey, exp.ForeignKey, exp.UniqueColumnConstraint, exp.Constraint)):
        if isinstance(key, exp.UniqueColumnConstraint) and isinstance(key.parent, exp.ColumnConstraint):
            continue
        for name in (part.name.lower() for part in key.find_all(exp.Identifier) if not isinstance(key, exp.ForeignKey)):
            if name not in columns and not isinstance(key, exp.Constraint):
                raise RedshiftError(f'column "{name}" named in key does not exist')
            if isinstance(key, exp.PrimaryKey):
                _forbid_null(columns[name])
        key.pop()
    for constraint in list(schema.find_all(exp.ColumnConstraint)):
        kind = constraint.kind
        if isinstance(kind, exp.GeneratedAsIdentityColumnConstraint):
            raise RedshiftError("IDENTITY columns are not supported by the sandbox")
        if isinstance(kind, exp.PrimaryKeyColumnConstraint):
            _forbid_null(constraint.find_ancestor(exp.ColumnDef))
        if isinstance(
            kind,
            exp.PrimaryKeyColumnConstraint | exp.UniqueColumnConstraint | exp.EncodeColumnConstraint | exp.Reference,
        ):
            constraint.pop()


def _forbid_null(column: Any) -> None:
    if not any(isinstance(held.kind, exp.NotNullColumnConstraint) for held in column.args.get("constraints") or []):
        column.append("constraints", exp.ColumnConstraint(kind=exp.NotNullColumnConstraint()))


def limit_column(column: Any) -> None:
    """Give a text column a check of its length in bytes; refuse types that Redshift does not have."""
    name = column.kind.this.name if column.kind else ""
    if name not in TYPES:
        raise RedshiftError(f'type "{column.kind}" of column "{column.name}" is not supported')
    if name not in TEXT_TYPES:
        return
    size = column.kind.expressions[0].name.upper() if column.kind.expressions else str(DEFAULT_VARCHAR)
    limit = MAX_VARCHAR if size == "MAX" else int(size)
    if not 0 < limit <= MAX_VARCHAR:
        raise RedshiftError(f"length for type varchar cannot exceed {MAX_VARCHAR}")
    quoted = exp.column(column.this.copy()).sql("duckdb")
    check = sqlglot.parse_one(f"strlen({quoted}) <= {limit}", read="duckdb")
    column.append("constraints", exp.ColumnConstraint(kind=exp.CheckColumnConstraint(this=check)))
    column.set("kind", exp.DataType.build("VARCHAR", dialect="duckdb"))

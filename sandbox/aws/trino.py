"""Trino's dialect on DuckDB: refuses what Athena refuses, and rewrites what DuckDB does differently."""

import itertools
import re

import sqlglot
from sqlglot import exp
from sqlglot.tokens import TokenType

# Functions of Trino (Athena engine version 3) that a query may call. Anything else is refused, as Athena would.
FUNCTIONS = frozenset(
    re.findall(
        r"\w+",
        """
    abs acos any_match all_match none_match approx_distinct approx_percentile arbitrary array_agg array_distinct
    array_except array_intersect array_join array_max array_min array_position array_remove array_sort array_union
    arrays_overlap asin atan atan2 avg bit_count bitwise_and bitwise_or bitwise_xor bool_and bool_or cardinality cbrt
    ceil ceiling checksum chr coalesce codepoint concat concat_ws contains corr cos cosh count count_if covar_pop
    covar_samp cume_dist current_date current_timestamp date date_add date_diff date_format date_parse date_trunc day
    day_of_month day_of_week day_of_year degrees dense_rank dow doy e element_at ends_with every exp extract filter
    first_value flatten floor format format_datetime format_number from_base from_iso8601_date
    from_iso8601_timestamp from_unixtime geometric_mean greatest grouping hamming_distance histogram hour if infinity
    is_finite is_infinite is_nan json_array_get json_array_length json_extract json_extract_scalar json_format
    json_parse json_size kurtosis lag last_day_of_month last_value lead least length levenshtein_distance listagg ln
    localtime localtimestamp log log10 log2 lower lpad ltrim map map_agg map_concat map_entries map_from_entries
    map_keys map_values max max_by md5 millisecond min min_by minute mod month nan now nth_value ntile nullif
    parse_datetime percent_rank pi position pow power quarter radians rand random rank reduce regexp_count
    regexp_extract regexp_extract_all regexp_like regexp_replace regexp_split regr_intercept regr_slope repeat replace
    reverse round row_number rpad rtrim second sequence sha256 shuffle sign sin skewness slice split split_part sqrt
    starts_with stddev stddev_pop stddev_samp strpos substr substring sum tan tanh timezone_hour to_base to_hex
    to_iso8601 to_unixtime to_utf8 transform translate trim truncate try typeof unnest upper uuid values var_pop
    var_samp variance week week_of_year width_bucket with_timezone year year_of_week yow zip
    """,
    )
)
# Words and types that can precede a parenthesis and are not functions.
WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    all and any array as between by case cast char cross cube decimal distinct else end except exists filter from
    group grouping having in inner intersect interval is join lateral left like limit not null numeric offset on or
    order over partition right rollup row rows select sets some table then time timestamp try_cast union using varchar
    when where window with within
    """,
    )
)
DATED = (exp.DateTrunc, exp.TimestampTrunc, exp.DateAdd, exp.DateSub)
COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.In, exp.Between)
# Functions that DuckDB has under another name, or with other rules.
MACROS = (
    "CREATE MACRO is_finite(x) AS isfinite(x)",
    "CREATE MACRO is_infinite(x) AS isinf(x)",
    "CREATE MACRO format_datetime(d, f) AS"
    " strftime(d, replace(replace(replace(f, 'yyyy', '%Y'), 'MM', '%m'), 'dd', '%d'))",
    "CREATE MACRO last_day_of_month(d) AS last_day(d)",
    "CREATE MACRO from_iso8601_date(s) AS CAST(s AS DATE)",
    "CREATE MACRO arbitrary(x) AS any_value(x)",
    "CREATE MACRO every(x) AS bool_and(x)",
)


class QueryError(Exception):
    """A query that Athena refuses or that fails; the message is its StateChangeReason."""


def parse_query(sql: str) -> exp.Query:
    """Parse one Trino query; raise QueryError for other statements, other dialects and unknown functions."""
    try:
        trees = [tree for tree in sqlglot.parse(sql, read="athena") if tree]
    except sqlglot.errors.SqlglotError as error:
        raise QueryError(f"SYNTAX_ERROR: {str(error).splitlines()[0]}") from error
    if len(trees) != 1:
        raise QueryError(f"SYNTAX_ERROR: only one statement is allowed, found {len(trees)}")
    tree = trees[0]
    if not isinstance(tree, exp.Query):
        kind = sql.split(maxsplit=1)[0].upper()
        raise QueryError(
            f"NOT_SUPPORTED: {kind} is not run by the sandbox: use a query, or the Glue API for the catalog"
        )
    _refuse_syntax(sql, tree)
    _refuse_functions(sql, tree)
    return tree


def _refuse_functions(sql: str, tree: exp.Query) -> None:
    named = {alias.name.lower() for alias in tree.find_all(exp.TableAlias)}
    tokens = sqlglot.tokenize(sql, read="athena")
    for token, after in itertools.pairwise(tokens):
        name = token.text.lower()
        quoted = token.token_type in {TokenType.IDENTIFIER, TokenType.STRING, TokenType.NUMBER}
        if after.token_type != TokenType.L_PAREN or quoted or not name.isidentifier():
            continue
        if name not in FUNCTIONS and name not in WORDS and name not in named:
            place = f"line {token.line}:{token.col - len(name) + 1}"
            raise QueryError(f"FUNCTION_NOT_FOUND: {place}: Function '{name}' not registered")


def _refuse_syntax(sql: str, tree: exp.Query) -> None:
    # sqlglot accepts more than Trino does.
    if any(token.token_type == TokenType.DCOLON for token in sqlglot.tokenize(sql, read="athena")):
        raise QueryError("SYNTAX_ERROR: mismatched input '::': write CAST(value AS type)")
    if found := tree.find(exp.Qualify, exp.ILike):
        raise QueryError(f"SYNTAX_ERROR: mismatched input '{found.key.upper()}'")
    if any(
        star.args.get("except_") or star.args.get("except") or star.args.get("replace")
        for star in tree.find_all(exp.Star)
    ):
        raise QueryError("SYNTAX_ERROR: mismatched input after '*': Trino selects all columns or named ones")
    if any(distinct.args.get("on") for distinct in tree.find_all(exp.Distinct)):
        raise QueryError("SYNTAX_ERROR: mismatched input 'ON': Trino has no DISTINCT ON")


def check_comparisons(tree: exp.Query, types: dict[str, str]) -> None:
    """Refuse to compare a column that is not text with a text literal: Trino casts neither.

    types: lower-case column name -> catalog type, for columns whose type is the same wherever they occur.
    """
    renamed = {alias.alias.lower() for alias in tree.find_all(exp.Alias)}
    for comparison in tree.find_all(*COMPARISONS):
        parts = [
            comparison.this,
            *(part for key in ("expression", "low", "high") if (part := comparison.args.get(key))),
        ]
        parts += comparison.expressions
        if not any(isinstance(part, exp.Literal) and part.is_string for part in parts):
            continue
        for column in (part for part in parts if isinstance(part, exp.Column)):
            kind = types.get(column.name.lower(), "string")
            if column.name.lower() not in renamed and not kind.startswith(("string", "varchar", "char")):
                hint = (
                    f"write {kind.upper()} '...'"
                    if kind in {"date", "timestamp"}
                    else "write the literal without quotes"
                )
                raise QueryError(
                    f"TYPE_MISMATCH: Cannot apply operator: {kind} and varchar for column '{column.name}': {hint}"
                )


def translate(tree: exp.Query) -> str:
    """Write a Trino query as DuckDB SQL, with Trino's division, dates and column names."""
    tree = tree.copy()
    for select in tree.find_all(exp.Select):
        _name_columns(select)
    for node in reversed(list(tree.find_all(*DATED, exp.Add, exp.Sub))):
        if isinstance(node, DATED) or isinstance(node.expression, exp.Interval):
            # DuckDB turns a date into a timestamp here; Trino keeps the type.
            node.replace(exp.func("cast_to_type", node.copy(), node.this.copy()))
    for call in list(tree.find_all(exp.Format)):
        call.replace(_print(call))
    return str(tree.sql(dialect="duckdb"))


def _print(call: exp.Expression) -> exp.Expression:
    """Write Java's format() as printf, whose arguments must have the type in the format."""
    pattern = call.this
    if not isinstance(pattern, exp.Literal):
        raise QueryError("NOT_SUPPORTED: the sandbox needs a literal as the first argument of format()")
    types = {"s": "VARCHAR", "d": "BIGINT", "f": "DOUBLE", "e": "DOUBLE", "g": "DOUBLE"}
    kinds = [kind for kind in re.findall(r"%[-+ 0,#]*\d*(?:\.\d+)?([a-zA-Z%])", pattern.name) if kind != "%"]
    if len(kinds) > len(call.expressions) or not types.keys() >= set(kinds):
        raise QueryError(f"INVALID_FUNCTION_ARGUMENT: Invalid format string: {pattern.name}")
    values = [exp.cast(value.copy(), types[kind]) for kind, value in zip(kinds, call.expressions, strict=False)]
    return exp.func("printf", pattern.copy(), *values)


def _name_columns(select: exp.Select) -> None:
    for index, column in enumerate(select.expressions):
        if column.is_star:
            return
        if not isinstance(column, exp.Column | exp.Alias | exp.Dot) and not _is_value_of_subquery(select):
            column.replace(exp.alias_(column.copy(), f"_col{index}"))


def _is_value_of_subquery(select: exp.Select) -> bool:
    return isinstance(select.parent, exp.In | exp.Exists)

"""Kinds of phrase: what `vocabulary/columns.toml` says every value of a column is."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ruvtab.errors import Fault
from ruvtab.locate import header, key, line_of
from ruvtab.pack import PackSource

KINDS = {
    "adverb",
    "noun",
    "plural",
    "name",
    "phrase",
    "term",
    "clause",
    "question",
    "verb",
    "gerund",
    "code",
    "quantity",
}
_BARE = {"noun", "plural", "name"}


def faults_of_kind(pack: PackSource) -> Iterator[Fault]:
    """Values are the kind of phrase that columns.toml says."""
    file = pack.root / "vocabulary" / "columns.toml"
    for table, columns in pack.kinds.items():
        if not isinstance(columns, dict):
            yield Fault(
                file, line_of(file, key(table)), f"{table} is not a table; write [{table}] and its columns below"
            )
            continue
        if table not in pack.tables:
            yield Fault(file, line_of(file, header(table)), f"table {table} has no file {table}.csv")
            continue
        lf = pack.tables[table]
        for column, kind in columns.items():
            line = line_of(file, header(table), key(column))
            if column not in lf.columns[1:-1]:
                yield Fault(file, line, f"{table}.csv has no column {column}")
            elif not isinstance(kind, str) or kind not in KINDS:
                yield Fault(file, line, f"unknown kind {kind!r}; kinds are {', '.join(sorted(KINDS))}")
            else:
                wrong = lf.filter(_breaks_kind(kind, column))
                for value, row in zip(wrong[column], wrong["@line"], strict=True):
                    yield Fault(
                        pack.root / "vocabulary" / f"{table}.csv",
                        row,
                        f"{column} {value!r:.60} is not a {kind} as columns.toml means it",
                    )


def _breaks_kind(kind: str, column: str) -> pl.Expr:
    value = pl.col(column)
    if kind in _BARE:
        return value.str.contains(r"^(?i:a|an|the|our|my) ")
    if kind == "question":
        return ~value.str.contains(r"^(how|why|where|which|what|whether|when|who|whose)\b") | value.str.ends_with("?")
    if kind == "verb":
        return value.str.contains(r"^to |\.$")
    if kind == "gerund":
        return ~value.str.contains(r"^\w+ing\b")
    return value.str.contains(r"[^.]\.$") if kind == "clause" else pl.lit(False)

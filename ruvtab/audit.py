"""Is a labelled dataset sound? Named gates over rows, the table, its splits and its shortcuts, in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from ruvtab.gates import ROW_GATES, is_label_missing, is_other_model
from ruvtab.labelled import Labelled, read_labelled
from ruvtab.near import near_pairs
from ruvtab.shortcuts import shortcuts_of

SHOWN = 5
NEAR_SHARE, LEAK_SHARE = 0.02, 0.01
IMBALANCE = 20.0
MIN_ROWS_FOR_SHARES = 500
# by how much of the way from chance to certainty a shortcut may predict: 0.48 of three levels, 0.55 of five categories
LIFTS = {"length": 0.22, "first word": 0.4375}


@dataclass(frozen=True)
class Gate:
    """What one gate found: `passed` None means that it could not be tried, and `why` says why."""

    name: str
    passed: bool | None
    n_bad: int
    why: str
    examples: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Audit:
    """All gates, and tables of what the data holds.

    shares: label → value → share in [0, 1] · lengths: label → value → rows, mean characters, distinct words ·
    shortcuts: label → predictor → macro-F1.
    """

    path: Path
    n_rows: int
    gates: list[Gate]
    shares: dict[str, dict[str, float]]
    lengths: dict[str, list[dict[str, Any]]]
    shortcuts: dict[str, dict[str, float]]

    @property
    def passed(self) -> bool:
        """Whether no gate failed."""
        return all(gate.passed is not False for gate in self.gates)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self) | {"path": str(self.path), "passed": self.passed}


def audit(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    routing: Mapping[str, Mapping[str, str]] | None = None,
    near: float = 0.9,
) -> Audit:
    """Read labelled texts and try every gate on them.

    `routing` maps category → level → model; without it, that category and level decide the model is all that is asked.
    `near` is the Jaccard similarity from which texts count as near duplicates.

    Raises DataError where the data cannot be read.
    """
    data = read_labelled(path, columns)
    df = data.df.with_row_index("row")
    pairs = near_pairs(df["input"].fill_null(""), near)
    shortcuts = {label: shortcuts_of(df, label) for label in data.labels} if len(df) >= MIN_ROWS_FOR_SHARES else {}
    gates = [
        *_row_gates(data, df, routing),
        *_text_gates(df, pairs, data.labels, near),
        *_split_gates(df, pairs),
        *_table_gates(df, data.labels),
        *_shortcut_gates(df, data.labels, shortcuts),
    ]
    return Audit(
        data.path,
        len(df),
        gates,
        {label: _shares(df, label) for label in (*data.labels, *({"split", "origin"} & set(df.columns)))},
        {label: _lengths(df, label) for label in data.labels},
        shortcuts,
    )


def _gate(name: str, bad: pl.DataFrame, why: str, limit: int = 0) -> Gate:
    """Fail when more than `limit` rows are bad; the first SHOWN are named by file, row and text."""
    places = bad.head(SHOWN).select("file", "line", pl.col("input").fill_null("").str.slice(0, 90)).rows()
    return Gate(name, len(bad) <= limit, len(bad), why, [f"{f}:{n}: {t!r}" for f, n, t in places])


def _row_gates(data: Labelled, df: pl.DataFrame, routing: Mapping[str, Mapping[str, str]] | None) -> Iterator[Gate]:
    n = len(data.faults)
    yield Gate(
        "readable", not n, n, "rows that are no JSON object or hold no text", list(map(str, data.faults[:SHOWN]))
    )
    for name, (is_bad, what) in ROW_GATES.items():
        yield _gate(name, df.filter(is_bad()), what)
    yield _gate("label missing", df.filter(is_label_missing(data.labels)), "a label that is null or blank")
    if {"category", "complexity", "expected_model"} <= set(data.labels):
        if routing and 2 * len(df.filter(pl.col("category").is_in(list(routing)))) >= len(df):
            yield _gate("routing", df.filter(is_other_model(routing)), "a model that is not the routing table's")
        else:
            usual = pl.col("expected_model").drop_nulls().mode().sort().first().over("category", "complexity")
            odd = df.filter(pl.col("expected_model") != usual)
            yield _gate("routing", odd, "not the usual model of its category and complexity")


def _text_gates(df: pl.DataFrame, pairs: pl.DataFrame, labels: tuple[str, ...], near: float) -> Iterator[Gate]:
    same = df.filter(~pl.struct("input", "context", *labels).is_first_distinct())
    yield _gate("duplicate", same, "an earlier row again: input, context and labels")
    twins = _with_twin(df, pairs)
    yield _gate(
        "near duplicate",
        twins,
        f"nearly an earlier input of another group (Jaccard from {near:g}, words and pairs); {NEAR_SHARE:.0%} may be",
        _allowed(NEAR_SHARE, df),
    )
    said = pl.concat_str(*(pl.col(c).fill_null("").str.to_lowercase().str.strip_chars() for c in ("input", "context")))
    for label in labels:
        torn = df.filter(pl.col(label).n_unique().over(said) > 1)
        yield _gate(f"contradiction: {label}", torn, f"the same text with another {label}")


def _allowed(share: float, df: pl.DataFrame) -> int:
    """Say how many rows may be bad; none of so few that each could be looked at."""
    return int(share * len(df)) if len(df) >= MIN_ROWS_FOR_SHARES else 0


def _with_twin(df: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """Join rows to their nearest twin that is not of their own group; a group's rows are meant to say the same."""
    twin = df.rename({c: f"{c}_twin" for c in df.columns})
    other = pl.col("group_id").ne_missing(pl.col("group_id_twin")) if "group_id" in df.columns else pl.lit(True)
    return (
        df.join(pairs, on="row", how="inner", validate="1:m", maintain_order="right")
        .join(twin, left_on="twin", right_on="row_twin", how="inner", validate="m:1", maintain_order="left")
        .filter((pl.col("input") != pl.col("input_twin")) & other)
        .unique("row", keep="first", maintain_order=True)
    )


def _split_gates(df: pl.DataFrame, pairs: pl.DataFrame) -> Iterator[Gate]:
    if "split" not in df.columns:
        yield Gate("leak", None, 0, "there are no splits")
        return
    tried, torn = pl.col("split") != "train", pl.col("split").n_unique()
    yield _gate("leak: text", df.filter(tried & (torn.over("input") > 1)), "an input that stands in two splits")
    if "group_id" in df.columns:
        yield _gate("leak: group", df.filter(tried & (torn.over("group_id") > 1)), "a group that stands in two splits")
    apart = _with_twin(df, pairs).filter(pl.col("split") != pl.col("split_twin"))
    why = f"nearly an input of another split; {LEAK_SHARE:.0%} of rows may be"
    yield _gate("leak: near", apart, why, _allowed(LEAK_SHARE, df))


def _table_gates(df: pl.DataFrame, labels: tuple[str, ...]) -> Iterator[Gate]:
    for label in labels:
        counts = (
            df[label].drop_nulls().value_counts(sort=True, name="rows").sort("rows", label, descending=[True, False])
        )
        spelled = counts.with_columns(plain=pl.col(label).str.to_lowercase().str.replace_all(r"[\s_-]", ""))
        twice = spelled.filter(pl.col("plain").is_duplicated()).sort("plain", "rows", descending=[False, True])
        names = [f"{value!r} {n}" for value, n in twice.select(label, "rows").rows()]
        yield Gate(f"spelling: {label}", not names, len(names), "one label spelled in several ways", names[:SHOWN])
        if len(counts) > 1:
            most, least = counts.row(0), counts.row(-1)
            told = f"{most[0]} has {most[1]:,} rows, {least[0]} has {least[1]:,}; more than {IMBALANCE:g} to 1 fails"
            yield Gate(f"balance: {label}", most[1] <= IMBALANCE * least[1], 0, told)
        else:
            yield Gate(f"balance: {label}", len(df) == 0, 0, "one label only: there is nothing to learn")


def _shortcut_gates(
    df: pl.DataFrame, labels: tuple[str, ...], shortcuts: Mapping[str, Mapping[str, float]]
) -> Iterator[Gate]:
    for label in labels:
        for key, lift in LIFTS.items():
            name = f"shortcut: {label} by {key}"
            if label not in shortcuts:
                yield Gate(name, None, 0, f"needs {MIN_ROWS_FOR_SHARES} rows")
                continue
            chance = 1 / max(df[label].drop_nulls().n_unique(), 1)
            limit, found = chance + lift * (1 - chance), shortcuts[label][key]
            yield Gate(
                name, found <= limit, 0, f"{key} alone predicts {label} with macro-F1 {found:.2f}, limit {limit:.2f}"
            )


def _shares(df: pl.DataFrame, label: str) -> dict[str, float]:
    counts = df[label].value_counts(sort=True).sort("count", label, descending=[True, False])
    return {str(value): round(n / len(df), 4) for value, n in counts.rows()}


def _lengths(df: pl.DataFrame, label: str) -> list[dict[str, Any]]:
    words = pl.col("input").str.to_lowercase().str.extract_all(r"[\p{L}\p{N}_]+")
    return (
        df.group_by(label)
        .agg(
            rows=pl.len(),
            mean_characters=pl.col("input").str.len_chars().mean().round(1),
            median_characters=pl.col("input").str.len_chars().median(),
            distinct_words=words.explode().n_unique(),
        )
        .sort(label)
        .to_dicts()
    )

"""What a dataset holds, in numbers: counts and shares per label, cross tables, mean quality."""

from __future__ import annotations

from typing import Any

import polars as pl

CROSS_TABLES = (
    ("category", "complexity"),
    ("category", "expected_model"),
    ("category", "domain"),
    ("origin", "split"),
    ("category", "split"),
    ("complexity", "split"),
)
COUNTED = ("category", "complexity", "domain", "expected_model", "origin", "split")


def counted(df: pl.DataFrame) -> pl.DataFrame:
    """Count rows per combination of the COUNTED columns: adds `rows` and `quality`, the sum of scores."""
    return df.group_by(*COUNTED, maintain_order=True).agg(
        rows=pl.len().cast(pl.Int64), quality=pl.col("quality_score").cast(pl.Float64).sum()
    )


def stats_of(counts: pl.DataFrame) -> dict[str, Any]:
    """Sum up counts, as `counted` makes them, into plain values; labels in Enum order, else by text."""
    n_rows = int(counts["rows"].sum())
    by = {column: _per(counts, column) for column in COUNTED}
    return {
        "rows": n_rows,
        "mean_quality": round(float(counts["quality"].sum()) / n_rows, 4) if n_rows else None,
        "counts": {column: dict(lf.select(column, "rows").rows()) for column, lf in by.items()},
        "shares": {
            column: {label: round(n / n_rows, 4) for label, n in lf.select(column, "rows").rows()}
            for column, lf in by.items()
        },
        "mean_quality_by": {
            column: dict(lf.select(column, pl.col("mean").round(4)).rows())
            for column, lf in by.items()
            if column in {"category", "origin"}
        },
        "cross": {
            f"{a} x {b}": {
                str(label): dict(lf.select(b, "rows").rows())
                for (label,), lf in _per(counts, a, b).group_by(a, maintain_order=True)
            }
            for a, b in CROSS_TABLES
        },
    }


def _per(counts: pl.DataFrame, *columns: str) -> pl.DataFrame:
    summed = counts.group_by(*columns).agg(pl.sum("rows"), mean=pl.sum("quality") / pl.sum("rows"))
    return summed.sort(*columns)

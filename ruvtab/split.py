"""Group sampling: which groups go to train, validation and test, in closed form."""

from __future__ import annotations

import numpy as np
import polars as pl

from ruvtab.config import SPLITS
from ruvtab.draw import key_of


def with_split_cuts(blocks: pl.DataFrame, shares: tuple[float, float, float]) -> pl.DataFrame:
    """Add stratum_size, first_place (of the block's groups in its stratum), cut_1 and cut_2.

    Needs one row per block in stratum order: stratum, groups (how many it owns), rows (of all its groups), held_out. A
    group at a place below cut_1 is train, below cut_2 validation, else test. Shares are of rows, every group of a
    stratum counted with their mean; what a small stratum cannot share out exactly the next ones make up for, so the
    shares hold overall, and over any run of strata, to within one group. Held-out blocks are test whole, and the others
    share the rest.
    """
    train, validation, _ = shares
    rest = train + validation or 1.0
    kept = (train / rest, validation / rest, 0.0) if blocks["held_out"].any() else shares
    strata = blocks.group_by("stratum", "held_out", maintain_order=True).agg(
        stratum_size=pl.col("groups").sum(), rows=pl.col("rows").sum()
    )
    owed, cuts = np.zeros(3), []
    for size, rows, held_out in strata.select("stratum_size", "rows", "held_out").rows():
        if held_out or not size:
            cuts.append((0, 0))
            continue
        owed += np.array(kept) * rows
        due = owed * size / max(rows, 1)
        counts = np.floor(np.maximum(due, 0) + 1e-9).astype(np.int64)
        while (missing := size - int(counts.sum())) != 0:
            gap = due - counts if missing > 0 else np.where(counts > 0, counts - due, -np.inf)
            counts[np.argmax(gap)] += np.sign(missing)
        owed -= counts * (rows / size)
        cuts.append((int(counts[0]), int(counts[0] + counts[1])))
    cut = pl.DataFrame(cuts, schema={"cut_1": pl.Int64, "cut_2": pl.Int64}, orient="row")
    first = (pl.col("groups").cum_sum() - pl.col("groups")).over("stratum", "held_out")
    return blocks.with_columns(first_place=first).join(
        strata.drop("rows").hstack(cut), on=["stratum", "held_out"], how="left", validate="m:1", maintain_order="left"
    )


def held_out_subjects(groups: pl.DataFrame, share: float, seed: int) -> pl.DataFrame:
    """Choose whole subjects for test: per category, in keyed order, those that bring it closer to `share` of groups.

    Needs one row per subject: category, subject, groups. Returns category and subject of the chosen, at least one per
    category.
    """
    keys = [int(key_of(seed, f"holdout/{c}/{s}")) for c, s in groups.select("category", "subject").rows()]
    chosen: list[tuple[object, str]] = []
    ordered = groups.with_columns(pl.Series("draw", keys, dtype=pl.UInt64)).sort("category", "draw")
    for (category,), lf in ordered.group_by("category", maintain_order=True):
        target, held = share * int(lf["groups"].sum()), 0
        for subject, n in lf.select("subject", "groups").rows():
            if held == 0 or abs(held + n - target) < abs(held - target):
                chosen.append((category, subject))
                held += n
    return pl.DataFrame(chosen, schema={"category": groups.schema["category"], "subject": pl.String}, orient="row")


def split_of_groups(examples: pl.DataFrame, shares: tuple[float, float, float]) -> pl.DataFrame:
    """Deal the groups of a frame to splits: one row per group with group_id and split.

    Needs group_id, category, complexity, domain; a group's stratum is that of its first row. Group ids are scrambled
    already, so their order is the draw.
    """
    groups = (
        examples.group_by("group_id", maintain_order=True)
        .agg(pl.struct("category", "complexity", "domain").first().alias("stratum"), rows=pl.len().cast(pl.Int64))
        .with_columns(pl.col("stratum").rank("dense"))
        .with_columns(place=pl.col("group_id").rank("ordinal").over("stratum") - 1)
    )
    strata = (
        groups.group_by("stratum")
        .agg(pl.sum("rows"), groups=pl.len().cast(pl.Int64))
        .with_columns(held_out=pl.lit(False))
        .sort("stratum")
    )
    cuts = with_split_cuts(strata, shares).select("stratum", "cut_1", "cut_2")
    code = (pl.col("place") >= pl.col("cut_1")).cast(pl.UInt8) + (pl.col("place") >= pl.col("cut_2")).cast(pl.UInt8)
    return groups.join(cuts, on="stratum", how="left", validate="m:1", maintain_order="left").select(
        "group_id", split=pl.lit(pl.Series(SPLITS)).gather(code)
    )

"""Group sampling: which groups go to train, validation and test, in closed form."""

from __future__ import annotations

import polars as pl

from ruvtab.config import SPLITS
from ruvtab.draw import key_of


def with_split_cuts(blocks: pl.DataFrame, shares: tuple[float, float, float]) -> pl.DataFrame:
    """Add stratum_size, first_place (of the block's groups in its stratum), cut_1 and cut_2.

    Needs one row per block in stratum order: stratum, groups (how many it owns), held_out. A group at a place below
    cut_1 is train, below cut_2 validation, else test. Cuts telescope over the strata, so that shares hold overall to
    within one group however small the strata are. Held-out blocks are test whole, and the others share the rest.
    """
    train, validation, test = shares
    rest = pl.when(pl.col("held_out").any()).then(1 - test).otherwise(1.0)
    upto = pl.col("groups").sum().over("stratum", "held_out")
    strata = (
        blocks.group_by("stratum", "held_out", maintain_order=True)
        .agg(pl.col("groups").sum())
        .with_columns(end=pl.col("groups").cum_sum().over("held_out"))
        .with_columns(rest=rest)
        .with_columns(
            **{
                f"cut_{i}": (
                    (pl.col("end") * share / pl.col("rest") + 0.5).floor()
                    - ((pl.col("end") - pl.col("groups")) * share / pl.col("rest") + 0.5).floor()
                ).cast(pl.Int64)
                for i, share in ((1, train), (2, train + validation))
            }
        )
        .with_columns(pl.when("held_out").then(0).otherwise(pl.col(c)).alias(c) for c in ("cut_1", "cut_2"))
        .select("stratum", "held_out", "cut_1", "cut_2")
    )
    first = (pl.col("groups").cum_sum() - pl.col("groups")).over("stratum", "held_out")
    return blocks.with_columns(stratum_size=upto, first_place=first).join(
        strata, on=["stratum", "held_out"], how="left", maintain_order="left"
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
        .agg(pl.struct("category", "complexity", "domain").first().alias("stratum"))
        .with_columns(pl.col("stratum").rank("dense"))
        .with_columns(place=pl.col("group_id").rank("ordinal").over("stratum") - 1)
    )
    strata = (
        groups.group_by("stratum")
        .agg(groups=pl.len().cast(pl.Int64))
        .with_columns(held_out=pl.lit(False))
        .sort("stratum")
    )
    cuts = with_split_cuts(strata, shares).select("stratum", "cut_1", "cut_2")
    code = (pl.col("place") >= pl.col("cut_1")).cast(pl.UInt8) + (pl.col("place") >= pl.col("cut_2")).cast(pl.UInt8)
    return groups.join(cuts, on="stratum", how="left", validate="m:1", maintain_order="left").select(
        "group_id", split=pl.lit(pl.Series(SPLITS)).gather(code)
    )

"""How many examples of each origin every part of the product owes: exact, by largest remainder and water-filling."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from ruvtab.config import ORIGINS, DatasetConfig
from ruvtab.draw import key_of
from ruvtab.errors import CapacityError
from ruvtab.pack import Pack

Ints = npt.NDArray[np.int64]


def apportion(
    total: int, weights: npt.ArrayLike, caps: npt.ArrayLike | None = None, turn: npt.ArrayLike | None = None
) -> Ints:
    """Share `total` out by weight, exactly, by largest remainder; what exceeds a cap is shared among the others.

    With `turn`, numbers spread over (0, 1), remainders are served in turn rather than by size, so that many small
    shares have their part of the total: first the largest excess of a remainder over its turn. Raises CapacityError
    when the caps of what has weight do not hold the total.
    """
    w = np.asarray(weights, np.float64)
    limit = np.full(w.shape, total, np.int64) if caps is None else np.minimum(np.asarray(caps, np.int64), total)
    limit = np.where(w > 0, limit, 0)
    if int(limit.sum()) < total:
        raise CapacityError(f"{total:,} asked, room for {int(limit.sum()):,}")
    full = np.zeros(w.shape, np.bool_)
    while True:
        left = total - int(limit[full].sum())
        share = limit.astype(np.float64)
        if open_weight := w[~full].sum():
            share[~full] = w[~full] / open_weight * left
        over = ~full & (share > limit)
        if not over.any():
            break
        full |= over
    counts = np.minimum(np.floor(share + 1e-9).astype(np.int64), limit)
    due = share - counts - (0 if turn is None else np.asarray(turn, np.float64))
    ranked = np.lexsort((np.arange(len(w)), -np.round(due, 9)))
    while (over_by := int(counts.sum()) - total) > 0:  # rounding of huge floats
        counts[ranked[counts[ranked] > 0][-over_by:]] -= 1
    while (missing := total - int(counts.sum())) > 0:
        ranked = ranked[counts[ranked] < limit[ranked]]
        counts[ranked[:missing]] += 1
    return counts


def rows_per_origin(config: DatasetConfig, n_categories: int) -> dict[str, Ints]:
    """Rows of each origin per category. Totals per category differ by at most one, the larger first."""
    rates = config.rates
    if config.rows is not None:
        totals = dict(zip(rates, apportion(config.rows, list(rates.values())).tolist(), strict=True))
    else:
        n_seeds = config.examples_per_category * n_categories
        totals = {origin: round(n_seeds * rate) for origin, rate in rates.items()}
    given, counts = 0, {}
    for origin, total in totals.items():
        turn = (np.arange(n_categories) - given) % n_categories
        counts[origin] = total // n_categories + (turn < total % n_categories)
        given += total
    return counts


def seeds_per_level(rows: dict[str, int], shares: npt.ArrayLike) -> Ints:
    """Seeds of one category per level, such that all its rows have the level shares.

    A seed's paraphrases and transfers keep its level, its variations take the others; with v variations per seed and
    other level, rows(l) = s(l) (1 + p + d) + v (n - s(l)), solved for s. Where no s >= 0 does it, the nearest is taken.
    """
    share = np.asarray(shares, np.float64)
    n, n_rows = rows["seed"], sum(rows.values())
    v = rows["complexity"] / (n * (len(share) - 1)) if n and len(share) > 1 else 0.0
    kept = (n_rows - rows["complexity"]) / n - v if n else 0.0
    wanted = np.maximum(share * n_rows - v * n, 0) if kept > 1e-9 else share
    return apportion(n, wanted if wanted.sum() > 0 else share)


_AUGMENTATIONS = {
    "paraphrase": ("phrasing", "paraphrases_per_example"),
    "complexity": ("level", "complexity_variations"),
    "domain": ("domain", "domain_transfers"),
}


class CrowdedError(CapacityError):
    """The rows of an origin find no room with so many phrasings or transfers per seed; more per seed may."""

    def __init__(self, origin: str, message: str) -> None:
        super().__init__(message)
        self.origin = origin


class _Category(NamedTuple):
    code: int
    name: str
    levels: dict[str, float]
    rows: dict[str, int]
    seed: int


def quotas_of(pack: Pack, cells: pl.DataFrame, n_rows: dict[str, Ints], seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Share the rows of every origin out to blocks: per category, then level, then cell.

    Returns blocks (cells' columns with base, seeds, places, first_place_in_cell) and segments (category, block, origin,
    level, rows, skip, first), as plan.Plan describes them.
    """
    blocks: list[pl.DataFrame] = []
    segments: list[pl.DataFrame] = []
    for code, name in enumerate(pack.taxonomy.categories):
        rows = {origin: int(n[code]) for origin, n in n_rows.items()}
        category = _Category(code, name, pack.taxonomy.levels, rows, seed)
        own = _blocks(category, cells.filter(pl.col("category") == code), pack)
        segments.append(_segments(category, own, first_block=sum(len(b) for b in blocks)))
        blocks.append(own)
    laid = pl.concat(segments).filter(pl.col("rows") > 0)
    return pl.concat(blocks), laid.with_columns(first=pl.col("rows").cum_sum() - pl.col("rows"))


def _blocks(category: _Category, cells: pl.DataFrame, pack: Pack) -> pl.DataFrame:
    """Share the seeds of one category out to its cells by weight; cells of equal weight differ by at most one."""
    if cells.is_empty():
        raise CapacityError(
            f"category {category.name} has no family; write one, or take the category out of taxonomy.toml"
        )
    own = cells.select(f"own_{level}" for level in range(len(category.levels))).to_numpy()
    room = own * cells["visits"].to_numpy()[:, None]
    rank, weight, found = _order(cells, category.seed), cells["weight"].to_numpy(), []
    given = dict.fromkeys(weight.tolist(), 0)
    for level, n in enumerate(seeds_per_level(category.rows, list(category.levels.values())).tolist()):
        if n > room[:, level].sum():
            what = f"{category.name} {list(category.levels)[level]}: {n:,} seeds asked, "
            raise CapacityError(what + _too_little(pack, cells, room[:, level]))
        has = cells["levels"].list.contains(level).to_numpy()
        turn = np.zeros(len(cells))
        for each, before in given.items():
            alike = weight == each
            turn[alike] = ((rank[alike] - before) % alike.sum() + 0.5) / alike.sum()
        counts = apportion(n, has * weight, room[:, level], turn)
        given = {each: before + int(counts[weight == each].sum()) for each, before in given.items()}
        found.append(
            cells.with_columns(
                pl.lit(level).alias("base"),
                pl.Series("seeds", counts),
                pl.Series("places", np.minimum(counts, own[:, level])),
                pl.Series("first_place_in_cell", own[:, :level].sum(axis=1)),
            )
        )
    return pl.concat(found).filter(pl.col("seeds") > 0)


def _order(cells: pl.DataFrame, seed: int) -> Ints:
    """Rank the cells of each weight so that any first few are of different families and of evenly many domains."""
    draws = [int(key_of(seed, f"order/{name}")) for name in cells["name"]]
    families, domains, weights = (cells[name].to_list() for name in ("family", "domain", "weight"))
    rank = np.empty(len(cells), np.int64)
    for weight in set(weights):
        of_family: dict[int, list[int]] = {}
        for i in np.argsort(draws).tolist():
            if weights[i] == weight:
                of_family.setdefault(families[i], []).append(i)
        used, ranked = dict.fromkeys(domains, 0), list[int]()
        while any(of_family.values()):
            for left in of_family.values():
                if left:
                    i = min(left, key=lambda i: used[domains[i]])
                    left.remove(i)
                    used[domains[i]] += 1
                    ranked.append(i)
        rank[ranked] = np.arange(len(ranked))
    return rank


def _too_little(pack: Pack, cells: pl.DataFrame, room: Ints) -> str:
    cell = int(np.argmin(np.where(room > 0, room, room.max(initial=0) + 1)))
    row = cells.row(cell, named=True)
    tables = ", ".join(f"{t}.csv" for t in pack.families["scenario"][row["family"]]) or "none: name one"
    return (
        f"room for {int(room.sum()):,}. The smallest cell, {row['name']}, holds {int(room[cell]):,} "
        f"({row['scenarios']:,} scenarios, {row['phrasings']:,} phrasings each): add rows to its scenario tables "
        f"({tables}), wordings to family {row['id']}, or more families; or ask for less"
    )


def _segments(category: _Category, blocks: pl.DataFrame, first_block: int) -> pl.DataFrame:
    """Share the augmentations of one category out to its blocks, in proportion to their seeds."""
    seeds, base = blocks["seeds"].to_numpy(), blocks["base"].to_numpy()
    levels = range(len(category.levels))
    keys = [int(key_of(category.seed, f"turn/{n}/{b}")) for n, b in zip(blocks["name"], base, strict=True)]
    turn = (np.argsort(keys) + 0.5) / max(1, len(keys))
    found = [("seed", base, seeds, np.zeros_like(seeds))]

    def share(origin: str, caps: list[Ints], weights: Ints, targets: list[Ints]) -> None:
        """Give each level its part of an origin's rows, then each block of the level its part, within the caps."""
        room = [int(c.sum()) for c in caps]
        try:
            parts = apportion(category.rows[origin], np.where(np.array(room) > 0, weights, 0), room)
        except CapacityError as error:
            what, setting = _AUGMENTATIONS[origin]
            hint = f"too few families have another {what}; write some, or lower {setting}"
            raise CrowdedError(origin, f"{category.name}: {error} for origin {origin}: {hint}") from error
        skip = np.zeros_like(seeds)
        for n, cap, target in zip(parts.tolist(), caps, targets, strict=True):
            counts = apportion(n, np.where(cap > 0, seeds, 0), cap, turn)
            found.append((origin, target, counts, skip.copy()))
            skip += counts

    per_level = np.array([int(seeds[base == level].sum()) for level in levels])
    same, others = [base for _ in levels], [np.full_like(base, level) for level in levels]
    of_level = [np.where(base == level, seeds, 0) for level in levels]
    has = [blocks["levels"].list.contains(level).to_numpy() for level in levels]
    share("paraphrase", [n * (blocks["per_visit"].to_numpy() - 1) for n in of_level], per_level, same)
    variations = [np.where((base != level) & has[level], seeds, 0) for level in levels]
    share("complexity", variations, int(seeds.sum()) - per_level, others)
    share("domain", [n * blocks["transfers"].to_numpy() for n in of_level], per_level, same)
    index = np.arange(first_block, first_block + len(blocks))
    frames = [
        pl.DataFrame({"block": index, "origin": ORIGINS.index(origin), "level": level, "rows": counts, "skip": skip})
        for origin, level, counts, skip in found
    ]
    return pl.concat(frames).with_columns(category=pl.lit(category.code)).sort("block", "origin", "level")

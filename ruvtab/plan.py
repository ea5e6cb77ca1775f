"""The plan: which example every row number is, as integers and in closed form. Nothing is materialised but the quotas.

A *block* is one cell at one base level. Its seeds take the block's own *places* in the cell's permuted scenarios, again
and again in *visits* when there are more seeds than places. Visit v of a scenario owns the phrasings [v*B, (v+1)*B) of
every level: the seed has the first of its level, its paraphrases the next, a variation the first of another level. A
domain transfer takes a reserved scenario of another cell of the family, at the same visit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from ruvtab.config import SPLITS, DatasetConfig
from ruvtab.draw import MAX_ROWS, MAX_SIDE, U64, bits, key_of, permute, stride_of, strided
from ruvtab.errors import CapacityError, ConfigError
from ruvtab.lexicon import Lexicon
from ruvtab.pack import Pack
from ruvtab.quota import Ints, apportion, rows_per_origin, seeds_per_level
from ruvtab.split import held_out_subjects, with_split_cuts

ORIGINS = ("seed", "paraphrase", "complexity", "domain")
_SEED, _PARAPHRASE, _COMPLEXITY, _DOMAIN = range(4)


@dataclass(frozen=True)
class Plan:
    """A config laid over a pack. `segments` and `blocks` hold every number that `rows` needs.

    cells: one row per cell, with capacity · blocks: cell × base level with seeds · segments: block × origin × level
    in layout order with `rows` and `first`; a category's segments are neighbours.
    """

    pack: Pack
    lexicon: Lexicon
    config: DatasetConfig
    cells: pl.DataFrame
    blocks: pl.DataFrame
    segments: pl.DataFrame

    @property
    def n_rows(self) -> int:
        """Rows of the whole plan."""
        return int(self.segments["rows"].sum())

    @cached_property
    def _numbers(self) -> dict[str, U64]:
        """Columns of the three frames as arrays, named frame.column; plus sizes and steps per category."""
        numbers = {f"{name}.{s.name}": s.cast(pl.UInt64).to_numpy()
                   for name, lf in (("cell", self.cells), ("block", self.blocks), ("segment", self.segments))
                   for s in lf.get_columns() if s.dtype.is_integer()}
        per_category = self.segments.group_by("category", maintain_order=True).agg(pl.sum("rows"), pl.first("first"))
        sizes, firsts = per_category["rows"].to_list(), per_category["first"].to_list()
        numbers |= {"size": np.array(sizes, np.uint64), "first": np.array(firsts, np.uint64), "step": np.array([stride_of(n) for n in sizes], np.uint64),
                    "key": np.array([key_of(self.config.seed, f"cell/{k}") for k in self.cells["name"]], np.uint64)}
        size = numbers["block.stratum_size"]
        steps = {int(n): stride_of(int(n)) for n in np.unique(size)}
        return numbers | {"block.step": np.array([steps[int(n)] for n in size], np.uint64)}

    def rows(self, start: int, stop: int) -> pl.DataFrame:
        """Say what rows [start, stop) are: row, cell, level, scenario, place, origin, split (codes) and group (64 bits)."""
        at, u = self._numbers, np.uint64
        i = np.arange(start, stop, dtype=np.uint64)
        category, j = i % u(len(at["size"])), i // u(len(at["size"]))
        position = at["first"][category] + strided(j, at["step"][category], at["size"][category])
        segment = np.searchsorted(at["segment.first"], position, side="right") - 1
        block = at["segment.block"][segment]
        n, places = at["block.seeds"][block], at["block.places"][block]
        r = position - at["segment.first"][segment]
        turn = r // n
        seed = (r + at["segment.skip"][segment]) % n
        place, visit = seed % places, seed // places
        home, origin = at["block.cell"][block], at["segment.origin"][segment]
        x = at["block.first_place_in_cell"][block] + place
        moved = origin == _DOMAIN
        others = at["cell.others"][home]
        ahead = (x + turn) % others
        first = at["cell.first_of_family"][home]
        cell = np.where(moved, first + (home - first + ahead + u(1)) % (others + u(1)), home)
        reserved = at["cell.home_places"][home] + (turn * others + ahead) * (at["cell.home_places"][home] // others) + x // others
        scenario = permute(np.where(moved, reserved, x), at["cell.radix_a"][cell], at["cell.radix_b"][cell], at["key"][cell])
        dealt = strided(at["block.first_place"][block] + place, at["block.step"][block], at["block.stratum_size"][block])
        split = (dealt >= at["block.cut_1"][block]).astype(np.uint8) + (dealt >= at["block.cut_2"][block])
        return pl.DataFrame({
            "row": i, "cell": cell.astype(np.uint32), "level": at["segment.level"][segment].astype(np.uint32), "scenario": scenario,
            "place": visit * at["cell.per_visit"][home] + np.where(origin == _PARAPHRASE, turn + u(1), u(0)),
            "origin": origin.astype(np.uint8), "split": split.astype(np.uint8), "group": bits(x, at["key"][home] ^ key_of(0, "group")),
        })


def planned(pack: Pack, lexicon: Lexicon, config: DatasetConfig) -> Plan:
    """Lay a config over a pack: exact quotas, places and splits.

    Raises CapacityError where the pack cannot say that much (it names the cell, both numbers and what to enlarge).
    """
    rates = config.rates
    n_rows = rows_per_origin(config, len(pack.taxonomy.categories))
    if sum(int(n.sum()) for n in n_rows.values()) > MAX_ROWS:
        raise ConfigError(f"{sum(int(n.sum()) for n in n_rows.values()):,} rows are more than {MAX_ROWS:,}; ask for less")
    n_places = 1 + int(np.ceil(rates["paraphrase"]))
    turns = int(np.ceil(rates["domain"]))
    most_turns = max(turns, pack.families["domains"].list.len().max() - 1)  # type: ignore[operator]
    while True:
        cells = _with_capacity(_cells(pack, lexicon, config), n_places, turns)
        try:
            blocks, segments = _quotas(pack, cells, n_rows, config.seed)
            break
        except _Crowded as crowd:
            # families that cannot be augmented leave their share to the others: give these more room per seed
            if crowd.origin == "domain" and turns < most_turns:
                turns += 1
            elif crowd.origin == "paraphrase" and n_places < 64:
                n_places += 1
            else:
                raise CapacityError(str(crowd)) from crowd
    return Plan(pack, lexicon, config, cells, _with_splits(pack, cells, blocks, config), segments)


class _Crowded(CapacityError):
    def __init__(self, origin: str, message: str) -> None:
        super().__init__(message)
        self.origin = origin


def _cells(pack: Pack, lexicon: Lexicon, config: DatasetConfig) -> pl.DataFrame:
    """Name each cell and count what it can say: scenarios, and phrasings per scenario at its scarcest level."""
    domains = pack.taxonomy.domains
    variants = max(1, len(lexicon.frames)) if lexicon.frame_share else 1
    phrasings = pl.col("n_inputs") * pl.col("n_contexts") * pl.col("span").cast(pl.Int64).clip(upper_bound=MAX_SIDE) * variants
    sites = lexicon.sites.with_columns(room=phrasings, of_level=pl.when(pl.col("n_inputs").is_not_null()).then(pl.col("level")))
    per_cell = sites.group_by("cell", maintain_order=True).agg(
        phrasings=pl.col("room").min(), levels=pl.col("of_level").drop_nulls(), all_phrasings=pl.col("room").sum())
    radix = lexicon.scenario_rows[:, :, 1]
    too_many = np.maximum(radix[:, 0], radix[:, 1] * radix[:, 2]).max(initial=0)
    if too_many > MAX_SIDE:
        raise CapacityError(f"scenario tables of one family multiply to {too_many:,} rows, more than {MAX_SIDE:,}; use fewer tables")
    family = pl.DataFrame({"family": range(len(pack.families)), "id": pack.families["id"], "subject": pack.families["subject"]}, schema_overrides={"family": pl.UInt32})
    return lexicon.cells.with_row_index("cell").join(family, on="family", how="left", maintain_order="left").join(
        per_cell, on="cell", how="left", maintain_order="left").with_columns(
        pl.Series("radix_a", radix[:, 0]), pl.Series("radix_b", radix[:, 1] * radix[:, 2]),
        name=pl.concat_str("id", pl.lit(pl.Series(domains)).gather("domain"), separator=" × "),
        others=(pl.len().over("family") - 1).clip(lower_bound=1).cast(pl.Int64), n_domains=pl.len().over("family").cast(pl.Int64),
        first_of_family=pl.col("cell").min().over("family"),
    )


def _with_capacity(cells: pl.DataFrame, n_places: int, turns: int) -> pl.DataFrame:
    """Divide each cell's scenarios into those for its own seeds and those reserved for transfers.

    `per_visit` phrasings serve one visit of a scenario, `visits` are possible. A family with too few scenarios, or one
    domain, takes no transfers and keeps them all.
    """
    fewest = pl.col("scenarios").cast(pl.Int64).min().over("family")
    home = fewest // (pl.col("others") * (1 + turns)) * pl.col("others")
    per_visit = pl.col("phrasings").min().over("family").clip(upper_bound=n_places)
    takes_transfers = (pl.col("n_domains") > 1) & (home > 0) & pl.lit(turns > 0)
    return cells.with_columns(
        transfers=pl.when(takes_transfers).then(pl.min_horizontal(pl.lit(turns), pl.col("others"))).otherwise(0),
        home_places=pl.when(takes_transfers).then(home).otherwise(pl.col("scenarios").cast(pl.Int64)),
        per_visit=per_visit, visits=pl.col("phrasings").min().over("family") // per_visit,
    )


def _quotas(pack: Pack, cells: pl.DataFrame, n_rows: dict[str, Ints], seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Share the rows of every origin out to blocks: per category, then level, then cell."""
    shares = list(pack.taxonomy.levels.values())
    blocks, segments = [], []
    for category in range(len(pack.taxonomy.categories)):
        rows = {origin: int(n[category]) for origin, n in n_rows.items()}
        own = _blocks(pack, cells.filter(pl.col("category") == category), rows, shares, seed, category)
        segments.append(_segments(pack, own, rows, shares, seed, sum(map(len, blocks)), category))
        blocks.append(own)
    laid = pl.concat(segments).filter(pl.col("rows") > 0).with_columns(first=pl.col("rows").cum_sum() - pl.col("rows"))
    return pl.concat(blocks), laid


def _blocks(pack: Pack, cells: pl.DataFrame, rows: dict[str, int], shares: list[float], seed: int, category: int) -> pl.DataFrame:
    """Share the seeds of one category out to its cells; equal cells differ by at most one."""
    name = list(pack.taxonomy.categories)[category]
    if cells.is_empty():
        raise CapacityError(f"category {name} has no family; write one, or take the category out of taxonomy.toml")
    levels = np.array([[level in has for level in range(len(shares))] for has in cells["levels"].to_list()])
    own = np.array([apportion(n, np.where(has, shares, 0)) for n, has in zip(cells["home_places"].to_list(), levels, strict=True)])
    room = own * cells["visits"].to_numpy()[:, None]
    turn, found = _order(cells, seed), []
    given = 0
    for level, n in enumerate(seeds_per_level(rows, shares).tolist()):
        if n > room[:, level].sum():
            raise CapacityError(_too_much(pack, cells, room[:, level], n, f"{name} {list(pack.taxonomy.levels)[level]}"))
        counts = apportion(n, levels[:, level], room[:, level], (turn - given) % len(cells))
        given += n % max(1, int(levels[:, level].sum()))
        found.append(cells.with_columns(
            pl.lit(level).alias("base"), pl.Series("seeds", counts), pl.Series("places", np.minimum(counts, own[:, level])),
            pl.Series("first_place_in_cell", own[:, :level].sum(axis=1))))
    return pl.concat(found).filter(pl.col("seeds") > 0)


def _order(cells: pl.DataFrame, seed: int) -> Ints:
    """Rank the cells of a category so that any first few are of different families and of evenly many domains."""
    draws = [int(key_of(seed, f"order/{name}")) for name in cells["name"]]
    of_family: dict[int, list[int]] = {}
    for i in np.argsort(draws):
        of_family.setdefault(cells["family"][int(i)], []).append(int(i))
    domains, used, ranked = cells["domain"].to_list(), dict.fromkeys(cells["domain"].to_list(), 0), []
    while any(of_family.values()):
        for left in of_family.values():
            if left:
                i = min(left, key=lambda i: used[domains[i]])
                left.remove(i)
                used[domains[i]] += 1
                ranked.append(i)
    rank = np.empty(len(ranked), np.int64)
    rank[ranked] = np.arange(len(ranked))
    return rank


def _too_much(pack: Pack, cells: pl.DataFrame, room: Ints, n: int, what: str) -> str:
    cell = int(np.argmin(np.where(room > 0, room, room.max(initial=0) + 1)))
    row = cells.row(cell, named=True)
    tables = ", ".join(f"{t}.csv" for t in pack.families["scenario"][row["family"]]) or "no scenario table: name one"
    return (f"{what}: {n:,} seeds asked, room for {int(room.sum()):,}. The smallest cell, {row['name']}, holds {int(room[cell]):,} "
            f"({row['scenarios']:,} scenarios, {row['phrasings']:,} phrasings each): add rows to its scenario tables ({tables}), "
            f"or wordings to family {row['id']}, or more families; or ask for less")


def _segments(pack: Pack, blocks: pl.DataFrame, rows: dict[str, int], shares: list[float], seed: int, first_block: int, category: int) -> pl.DataFrame:
    """Share the augmentations of one category out to its blocks, in proportion to their seeds."""
    name = list(pack.taxonomy.categories)[category]
    seeds, base = blocks["seeds"].to_numpy(), blocks["base"].to_numpy()
    order = np.argsort([int(key_of(seed, f"turn/{n}/{b}")) for n, b in zip(blocks["name"], base, strict=True)])
    found = [(_SEED, base, seeds, np.zeros_like(seeds))]

    def shared(origin: str, quotas: Ints, of_level: list[Ints], target: list[int] | None = None) -> None:
        skip = np.zeros_like(seeds)
        for level, (n, caps) in enumerate(zip(quotas.tolist(), of_level, strict=True)):
            counts = apportion(n, np.where(caps > 0, seeds, 0), caps, order)
            found.append((ORIGINS.index(origin), base if target is None else np.full_like(base, level), counts, skip.copy()))
            skip += counts

    def room(origin: str, caps: list[Ints], weights: Ints) -> Ints:
        try:
            return apportion(rows[origin], np.where([c.sum() > 0 for c in caps], weights, 0), [int(c.sum()) for c in caps])
        except CapacityError as error:
            raise _Crowded(origin, f"{name}: {error} for origin {origin}: too few families have another phrasing, level or domain; "
                                   "write some, or lower the rate") from error

    levels = range(len(shares))
    per_level = np.array([int(seeds[base == level].sum()) for level in levels])
    paraphrases = [np.where(base == level, seeds * (blocks["per_visit"].to_numpy() - 1), 0) for level in levels]
    shared("paraphrase", room("paraphrase", paraphrases, per_level), paraphrases)
    has = np.array([[level in own for own in blocks["levels"].to_list()] for level in levels])
    variations = [np.where((base != level) & has[level], seeds, 0) for level in levels]
    shared("complexity", room("complexity", variations, int(seeds.sum()) - per_level), variations, list(levels))
    transfers = [np.where(base == level, seeds * blocks["transfers"].to_numpy(), 0) for level in levels]
    shared("domain", room("domain", transfers, per_level), transfers)
    index = np.arange(first_block, first_block + len(blocks))
    return pl.concat(pl.DataFrame({"category": np.full_like(base, category), "block": index, "origin": np.full_like(base, origin), "level": level,
                                   "rows": counts, "skip": skip}) for origin, level, counts, skip in found).sort("block", "origin", "level")


def _with_splits(pack: Pack, cells: pl.DataFrame, blocks: pl.DataFrame, config: DatasetConfig) -> pl.DataFrame:
    """Deal the groups of every stratum (category × level × domain of the seed) to the splits."""
    numbered = blocks.with_row_index("block").with_columns(
        stratum=pl.struct("category", "base", "domain").rank("dense"), groups=pl.col("places"), held_out=pl.lit(False))
    if config.holdout == "subject" and config.split[SPLITS.index("test")] > 0:
        groups = blocks.group_by("category", "subject", maintain_order=True).agg(groups=pl.col("places").sum())
        held = held_out_subjects(groups, config.split[2], config.seed).with_columns(held_out=pl.lit(True))
        numbered = numbered.drop("held_out").join(held, on=["category", "subject"], how="left", maintain_order="left").with_columns(pl.col("held_out").fill_null(False))
    return with_split_cuts(numbered.sort("stratum", "block"), config.split).sort("block")

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

from ruvtab.capacity import cells_of, with_capacity
from ruvtab.config import ORIGINS, SPLITS, DatasetConfig
from ruvtab.draw import MAX_ROWS, U64, bits, key_of, permute, stride_of, strided
from ruvtab.errors import CapacityError, ConfigError
from ruvtab.lexicon import Lexicon
from ruvtab.pack import Pack
from ruvtab.quota import CrowdedError, quotas_of, rows_per_origin
from ruvtab.split import held_out_subjects, with_split_cuts

_PARAPHRASE, _DOMAIN = ORIGINS.index("paraphrase"), ORIGINS.index("domain")


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

    def capacity(self) -> pl.DataFrame:
        """One row per cell: family, domain, scenarios, phrasings of each, seeds, room, used, rows.

        `room` is for seeds of this config, `used` the share of it that is planned; `rows` is all the cell can say.
        """
        seeds = self.blocks.group_by("cell").agg(pl.sum("seeds"))
        room = pl.col("home_places") * pl.col("visits")
        return (
            self.cells.join(seeds, on="cell", how="left", maintain_order="left")
            .with_columns(pl.col("seeds").fill_null(0))
            .select(
                family="id",
                domain=pl.lit(pl.Series(self.pack.taxonomy.domains)).gather("domain"),
                scenarios="scenarios",
                phrasings="phrasings",
                seeds="seeds",
                room=room,
                used=pl.col("seeds") / room,
                rows=pl.col("scenarios").cast(pl.Int64) * pl.col("all_phrasings"),
            )
        )

    def quotas(self) -> pl.DataFrame:
        """One row per category × level: category, level, seeds, room for seeds, and rows of each other origin."""
        names = [
            pl.lit(pl.Series(list(labels))).gather(code).alias(name)
            for name, code, labels in (
                ("category", "category", self.pack.taxonomy.categories),
                ("level", "level", self.pack.taxonomy.levels),
            )
        ]
        rows = self.segments.group_by("category", "level").agg(
            *(pl.col("rows").filter(pl.col("origin") == i).sum().alias(o) for i, o in enumerate(ORIGINS))
        )
        own = [f"own_{level}" for level in range(len(self.pack.taxonomy.levels))]
        room = (
            self.cells.select("category", pl.col(own) * pl.col("visits"))
            .unpivot(own, index="category", variable_name="level", value_name="room")
            .with_columns(pl.col("level").str.strip_prefix("own_").cast(pl.Int32))
            .group_by("category", "level")
            .agg(pl.sum("room"))
        )
        return (
            room.join(rows, on=["category", "level"], how="left")
            .sort("category", "level")
            .fill_null(0)
            .select(*names, pl.col("seed").alias("seeds"), "room", *ORIGINS[1:])
        )

    @cached_property
    def _numbers(self) -> dict[str, U64]:
        """Columns of the three frames as arrays, named frame.column; plus sizes and steps per category."""
        numbers = {
            f"{name}.{s.name}": s.cast(pl.UInt64).to_numpy()
            for name, lf in (("cell", self.cells), ("block", self.blocks), ("segment", self.segments))
            for s in lf.get_columns()
            if s.dtype.is_integer()
        }
        per_category = self.segments.group_by("category", maintain_order=True).agg(pl.sum("rows"), pl.first("first"))
        sizes, firsts = per_category["rows"].to_list(), per_category["first"].to_list()
        numbers |= {
            "size": np.array(sizes, np.uint64),
            "first": np.array(firsts, np.uint64),
            "step": np.array([stride_of(n) for n in sizes], np.uint64),
            "key": np.array([key_of(self.config.seed, f"cell/{k}") for k in self.cells["name"]], np.uint64),
        }
        size = numbers["block.stratum_size"]
        steps = {int(n): stride_of(int(n)) for n in np.unique(size)}
        return numbers | {"block.step": np.array([steps[int(n)] for n in size], np.uint64)}

    def rows(self, start: int, stop: int) -> pl.DataFrame:
        """Say what rows [start, stop) are: row, cell, level, scenario, place, origin, split, group (64 bits)."""
        at, u = self._numbers, np.uint64
        i = np.arange(start, stop, dtype=np.uint64)
        j, category = np.divmod(i, u(len(at["size"])))
        category = category.view(np.int64)
        position = at["first"][category] + strided(j, at["step"][category], at["size"][category])
        segment = np.searchsorted(at["segment.first"], position, side="right") - 1
        block = at["segment.block"][segment].view(np.int64)
        n, places = at["block.seeds"][block], at["block.places"][block]
        r = position - at["segment.first"][segment]
        turn = r // n
        visit, place = np.divmod((r + at["segment.skip"][segment]) % n, places)
        home, origin = at["block.cell"][block].view(np.int64), at["segment.origin"][segment]
        x = at["block.first_place_in_cell"][block] + place
        moved = origin == _DOMAIN
        others = at["cell.others"][home]
        ahead = (x + turn) % others
        first = at["cell.first_of_family"][home]
        cell = np.where(moved, first + (home.view(u) - first + ahead + u(1)) % (others + u(1)), home.view(u)).view(
            np.int64
        )
        reserved = (
            at["cell.home_places"][home]
            + (turn * others + ahead) * (at["cell.home_places"][home] // others)
            + x // others
        )
        scenario = permute(
            np.where(moved, reserved, x), at["cell.radix_a"][cell], at["cell.radix_b"][cell], at["key"][cell]
        )
        dealt = strided(
            at["block.first_place"][block] + place, at["block.step"][block], at["block.stratum_size"][block]
        )
        split = (dealt >= at["block.cut_1"][block]).astype(np.uint8) + (dealt >= at["block.cut_2"][block])
        return pl.DataFrame(
            {
                "row": i,
                "cell": cell.view(np.int64),
                "level": at["segment.level"][segment].view(np.int64),
                "scenario": scenario,
                "place": visit * at["cell.per_visit"][home] + np.where(origin == _PARAPHRASE, turn + u(1), u(0)),
                "origin": origin.astype(np.uint8),
                "split": split.astype(np.uint8),
                "group": bits(x, at["key"][home] ^ key_of(0, "group")),
            }
        )


def planned(pack: Pack, lexicon: Lexicon, config: DatasetConfig) -> Plan:
    """Lay a config over a pack: exact quotas, places and splits.

    Raises CapacityError where the pack cannot say that much (it names the cell, both numbers and what to enlarge).
    """
    n_rows = rows_per_origin(config, len(pack.taxonomy.categories))
    if (total := sum(int(n.sum()) for n in n_rows.values())) > MAX_ROWS:
        raise ConfigError(f"{total:,} rows are more than {MAX_ROWS:,}; ask for less")
    most = {origin: int(np.max(-(-n // np.maximum(n_rows["seed"], 1)))) for origin, n in n_rows.items()}
    n_places, turns = 1 + most["paraphrase"], most["domain"]
    most_turns = max(turns, *(len(domains) - 1 for domains in pack.families["domains"].to_list()))
    named = cells_of(pack, lexicon)
    while True:
        cells = with_capacity(named, list(pack.taxonomy.levels.values()), n_places, turns)
        try:
            blocks, segments = quotas_of(pack, cells, n_rows, config.seed)
            break
        except CrowdedError as crowd:
            # families that cannot be augmented leave their share to the others: give these more room per seed
            if crowd.origin == "domain" and turns < most_turns:
                turns += 1
            elif crowd.origin == "paraphrase" and n_places < 64:
                n_places += 1
            else:
                raise CapacityError(str(crowd)) from crowd
    return Plan(pack, lexicon, config, cells, _with_splits(blocks, segments, config), segments)


def _with_splits(blocks: pl.DataFrame, segments: pl.DataFrame, config: DatasetConfig) -> pl.DataFrame:
    """Deal the groups of every stratum (category × level × domain of the seed) to the splits."""
    grown = segments.group_by("block").agg(pl.sum("rows"))
    numbered = (
        blocks.with_row_index("block")
        .with_columns(pl.col("block").cast(segments.schema["block"]))
        .join(grown, on="block", how="left", validate="1:1", maintain_order="left")
        .with_columns(
            pl.col("rows").fill_null(0),
            stratum=pl.struct("category", "base", "domain").rank("dense"),
            groups=pl.col("places"),
            held_out=pl.lit(False),
        )
    )
    if config.holdout == "subject" and config.split[SPLITS.index("test")] > 0:
        groups = blocks.group_by("category", "subject", maintain_order=True).agg(groups=pl.col("places").sum())
        held = held_out_subjects(groups, config.split[2], config.seed).with_columns(held_out=pl.lit(True))
        numbered = (
            numbered.drop("held_out")
            .join(held, on=["category", "subject"], how="left", maintain_order="left")
            .with_columns(pl.col("held_out").fill_null(False))
        )
    return with_split_cuts(numbered.sort("stratum", "block"), config.split).sort("block").drop("rows")

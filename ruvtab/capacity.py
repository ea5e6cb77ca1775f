"""How much each cell of a pack can say, and how its scenarios are divided."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl

from ruvtab.draw import MAX_SIDE
from ruvtab.errors import CapacityError
from ruvtab.lexicon import Lexicon
from ruvtab.pack import Pack
from ruvtab.quota import apportion


def cells_of(pack: Pack, lexicon: Lexicon) -> pl.DataFrame:
    """Name each cell and count its scenarios, and its phrasings per scenario at its scarcest level.

    Adds to lexicon.cells: cell, id, subject, weight, name, levels (that the family has), phrasings, all_phrasings
    (summed over levels), radix_a * radix_b = scenarios, n_domains, others (other domains, at least 1), first_of_family.
    """
    variants = max(1, len(lexicon.frames)) if lexicon.frame_share else 1
    room = (
        pl.col("n_inputs") * pl.col("n_contexts") * pl.col("span").cast(pl.Int64).clip(upper_bound=MAX_SIDE) * variants
    )
    per_cell = (
        lexicon.sites.filter(pl.col("n_inputs").is_not_null())
        .group_by("cell", maintain_order=True)
        .agg(phrasings=room.min(), levels=pl.col("level"), all_phrasings=room.sum())
    )
    radix = lexicon.scenario_rows[:, :, 1]
    too_many = int(np.maximum(radix[:, 0], radix[:, 1] * radix[:, 2]).max(initial=0))
    if too_many > MAX_SIDE:
        raise CapacityError(
            f"scenario tables of one family multiply to {too_many:,} rows, more than {MAX_SIDE:,}; use fewer tables"
        )
    families = pack.families.select("id", "subject", "weight").with_row_index("family")
    domains = pl.lit(pl.Series(pack.taxonomy.domains))
    return (
        lexicon.cells.with_row_index("cell")
        .join(families, on="family", how="left", validate="m:1", maintain_order="left")
        .join(per_cell, on="cell", how="left", validate="1:1", maintain_order="left")
        .with_columns(
            pl.Series("radix_a", radix[:, 0]),
            pl.Series("radix_b", radix[:, 1] * radix[:, 2]),
            name=pl.concat_str("id", domains.gather("domain"), separator=" × "),
            n_domains=pl.len().over("family").cast(pl.Int64),
            others=(pl.len().over("family").cast(pl.Int64) - 1).clip(lower_bound=1),
            first_of_family=pl.col("cell").min().over("family"),
        )
    )


def with_capacity(cells: pl.DataFrame, shares: list[float], n_places: int, turns: int) -> pl.DataFrame:
    """Divide each cell's scenarios into those for its own seeds, per base level, and those reserved for transfers.

    Adds home_places (scenarios for own seeds), own_0, own_1 … (their number per level, by its share), transfers (most
    per seed), per_visit (phrasings that one visit of a scenario owns) and visits (how many are possible). `turns` is
    the number of transfers to make room for per seed. A family with too few scenarios, or with one domain, takes no
    transfers and keeps all its scenarios.
    """
    fewest = pl.col("scenarios").cast(pl.Int64).min().over("family")
    home = fewest // (pl.col("others") * (1 + turns)) * pl.col("others")
    takes_transfers = (pl.col("n_domains") > 1) & (home > 0) & pl.lit(turns > 0)
    scarcest = pl.col("phrasings").min().over("family")
    per_visit = scarcest.clip(upper_bound=n_places)
    divided = cells.with_columns(
        transfers=pl.when(takes_transfers).then(pl.min_horizontal(pl.lit(turns), pl.col("others"))).otherwise(0),
        home_places=pl.when(takes_transfers).then(home).otherwise(pl.col("scenarios").cast(pl.Int64)),
        per_visit=per_visit,
        visits=scarcest // per_visit,
    )
    own_of = cache(lambda n, has: apportion(n, [share * (level in has) for level, share in enumerate(shares)]))
    own = np.array([own_of(n, tuple(levels)) for n, levels in divided.select("home_places", "levels").rows()])
    return divided.hstack([pl.Series(f"own_{level}", own[:, level]) for level in range(len(shares))])

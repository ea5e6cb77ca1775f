"""How many examples of each origin every part of the product owes: exact, by largest remainder and water-filling."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ruvtab.config import DatasetConfig
from ruvtab.errors import CapacityError

Ints = npt.NDArray[np.int64]


def apportion(total: int, weights: npt.ArrayLike, caps: npt.ArrayLike | None = None, order: npt.ArrayLike | None = None) -> Ints:
    """Share `total` out by weight, exactly, by largest remainder; what exceeds a cap is shared among the others.

    Equal remainders are served in `order` (lower first), else in place order. Raises CapacityError when the caps of
    what has weight do not hold the total.
    """
    w = np.asarray(weights, np.float64)
    limit = np.full(w.shape, total, np.int64) if caps is None else np.minimum(np.asarray(caps, np.int64), total)
    limit = np.where(w > 0, limit, 0)
    if int(limit.sum()) < total:
        raise CapacityError(f"{total:,} asked, room for {int(limit.sum()):,}")
    share, full = np.zeros(w.shape, np.float64), np.zeros(w.shape, np.bool_)
    while True:
        left = total - int(limit[full].sum())
        open_weight = w[~full].sum()
        share = np.where(full, limit, w * (left / open_weight) if open_weight else 0.0)
        over = ~full & (share > limit)
        if not over.any():
            break
        full |= over
    counts = np.minimum(np.floor(share + 1e-9).astype(np.int64), limit)
    places = np.arange(len(w)) if order is None else np.asarray(order)
    ranked = np.lexsort((places, -np.round(share - counts, 9)))
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

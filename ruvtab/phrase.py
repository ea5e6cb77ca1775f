"""Which words each row says: wording, context, details, alternatives and frame, from its place in the site's phrasings.

Places go round the wordings, so that a seed and its paraphrases differ in wording, and round the contexts; what is left
of the place picks alternatives and details by a keyed bijection. When all is said, it is said again in another frame.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from ruvtab.draw import MAX_SIDE, U64, below, bits, key_of, mixed, permute
from ruvtab.lexicon import FIRST_DETAIL
from ruvtab.plan import Plan

U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]
_u = np.uint64


class Phrased(NamedTuple):
    """What rows say: `lanes` (lanes × rows), positions and their number of prefix, input, suffix and context, facts."""

    lanes: U32
    input: list[tuple[I64, I64]]
    context: list[tuple[I64, I64]]
    facts: I64


class _Detail(NamedTuple):
    """One detail lane: whether a form uses it, and first row and rows of its table at a site."""

    uses: npt.NDArray[np.bool_]
    first: U64
    n: U64


class Phraser:
    """Chooses words for rows of a plan; holds what all chunks share as contiguous arrays."""

    def __init__(self, plan: Plan) -> None:
        lexicon, sites = plan.lexicon, plan.lexicon.sites
        names = ("input", "n_inputs", "context", "n_contexts", "span")
        self._site = {name: sites[name].fill_null(0).cast(pl.UInt64).to_numpy() for name in names}
        self._site["span"] = np.minimum(self._site["span"], _u(MAX_SIDE))
        self._keys = np.array([key_of(plan.config.seed, f"phrasing/{name}") for name in plan.cells["name"]], _u)
        self._first, self._count = (np.ascontiguousarray(lexicon.forms[:, i]).view(np.int64) for i in (0, 1))
        self._ways, self._facts = (np.ascontiguousarray(lexicon.forms[:, i]) for i in (2, 3))
        rows, uses = lexicon.detail_rows, lexicon.uses
        whole = np.ascontiguousarray
        self._details = [
            _Detail(whole(uses[:, d]), whole(rows[:, d, 0]), whole(rows[:, d, 1])) for d in range(lexicon.n_details)
        ]
        tables = range(lexicon.scenario_rows.shape[1])
        self._scenario = [tuple(np.ascontiguousarray(lexicon.scenario_rows[:, t, i]) for i in (0, 1)) for t in tables]
        self._frames = [np.ascontiguousarray(lexicon.frames[:, i]).view(np.int64) for i in range(3)]
        self._n_framed_details = lexicon.n_framed_details
        self._framed_below = _u(round(lexicon.frame_share * 2**24))
        self._n_levels = _u(len(plan.pack.taxonomy.levels))

    def phrased(self, rows: pl.DataFrame) -> Phrased:
        """Choose what each row says. Needs the columns of Plan.rows and site."""
        at, site, cell = self._site, rows["site"].to_numpy(), rows["cell"].to_numpy()
        scenario, place = rows["scenario"].to_numpy(), rows["place"].to_numpy()
        key = bits(scenario * self._n_levels + rows["level"].to_numpy().view(_u), self._keys[cell])
        n_inputs, n_contexts, span = at["n_inputs"][site], at["n_contexts"][site], at["span"][site]
        i = place // n_inputs
        w = (place + (key & _u(0xFFFF))) % n_inputs
        c = (i + w + (key >> _u(16) & _u(0xFFFF))) % n_contexts
        i //= n_contexts
        again = i // span
        wording, context = (at["input"][site] + w).view(np.int64), (at["context"][site] + c).view(np.int64)
        radices = [np.where(d.uses[wording] | d.uses[context], d.n[site], _u(1)) for d in self._details]
        n_detail = np.ones(len(rows), _u)
        for radix in radices:
            n_detail *= radix
        ways = self._ways[wording]
        pair = mixed(key + w * _u(0x9E3779B97F4A7C15) + c * _u(0xC2B2AE3D27D4EB4F))
        chosen = permute(i - again * span, n_detail, ways * self._ways[context], pair)
        lanes = np.zeros((FIRST_DETAIL + len(self._details) + 3, len(rows)), np.uint32)
        for lane, (first, n) in enumerate(self._scenario, 1):
            scenario, digit = np.divmod(scenario, n[cell])
            lanes[lane] = first[cell] + digit
        worded, left = np.divmod(chosen, n_detail)
        for lane, (detail, radix) in enumerate(zip(self._details, radices, strict=True), FIRST_DETAIL):
            left, digit = np.divmod(left, radix)
            lanes[lane] = detail.first[site] + digit
        lanes[-2], lanes[-3] = np.divmod(worded, ways)
        prefix, suffix = self._framed(lanes, site, radices, bits(chosen, pair), again)
        spans = [(self._first[form], self._count[form]) for form in (wording, context)]
        facts = (self._facts[wording] + self._facts[context]).view(np.int64)
        return Phrased(lanes, [prefix, spans[0], suffix], [spans[1]], facts)

    def _framed(
        self, lanes: U32, site: I64, radices: list[U64], drawn: U64, again: U64
    ) -> tuple[tuple[I64, I64], tuple[I64, I64]]:
        """Put a frame round the share of rows that gets one, and round all rows that say a phrasing once more."""
        if not len(self._frames[0]) or not self._framed_below:
            nothing = np.zeros(len(site), np.int64)
            return (nothing, nothing), (nothing, nothing)
        framed = (again > 0) | (drawn >> _u(40) < self._framed_below)
        variant = (((drawn & _u(0xFFFFFF)) + again) % _u(len(self._frames[0]))).view(np.int64)
        prefix, suffix, alternative = (column[variant] for column in self._frames)
        lanes[-1] = alternative
        for d in range(self._n_framed_details):
            free = self._details[d].first[site] + below(bits(drawn, _u(d)), self._details[d].n[site])
            lanes[FIRST_DETAIL + d] = np.where(radices[d] == 1, free, lanes[FIRST_DETAIL + d])
        ends = ((self._first[form], np.where(framed, self._count[form], 0)) for form in (prefix, suffix))
        return next(ends), next(ends)

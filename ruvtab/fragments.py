"""Forms to fragments: one pool of texts, and positions that say which of them a row takes.

A row has *lanes*, one integer each: the row numbers of its scenario tables and detail tables, and which alternative its
wording, context and frame take. A *position* turns a lane into a fragment: base + lane // stride % radix.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import permutations, product
from math import prod

from ruvtab.draw import MAX_SIDE
from ruvtab.errors import CapacityError
from ruvtab.pack import PackSource
from ruvtab.wording import INPUT, Choice, Form, Slot, capitalised, n_alternatives, with_article

RUN_LIMIT = 256
_NO_MODULO = 2**32 - 1


@dataclass
class Listing:
    """Rows of a table in the order of their numbers, per domain; for a pair table, ordered pairs of different rows."""

    rows: list[tuple[int, ...]]
    spans: dict[str, tuple[int, int]]


@dataclass
class Compiler:
    """Collects the pool, the positions and the forms of one pack; tables and literals are pooled once."""

    pack: PackSource
    pool: list[str] = field(default_factory=list)
    bases: dict[object, int] = field(default_factory=dict)
    listings: dict[tuple[str, bool], Listing] = field(default_factory=dict)
    positions: list[tuple[int, int, int, int]] = field(default_factory=list)
    forms: list[tuple[int, int, int, int]] = field(default_factory=list)
    uses: list[set[int]] = field(default_factory=list)

    def listing(self, table: str, paired: bool) -> Listing:
        """List a table's rows in an order that does not depend on the file's, so that neighbours are unrelated."""
        if (table, paired) not in self.listings:
            lf = self.pack.tables[table]
            owners, values = lf["domain"].to_list(), lf.drop("domain", "@line").rows()
            order = sorted(
                range(len(values)), key=lambda i: blake2b("\0".join(values[i]).encode(), digest_size=8).digest()
            )
            rows: list[tuple[int, ...]] = []
            spans: dict[str, tuple[int, int]] = {}
            for domain in self.pack.taxonomy.domains:
                own = [i for i in order if owners[i] in (domain, None)]
                if not spans or any(owners):
                    first = len(rows)
                    rows += permutations(own, 2) if paired else ((i,) for i in own)
                    spans[domain] = (first, len(rows) - first)
                else:
                    spans[domain] = next(iter(spans.values()))
            self.listings[table, paired] = Listing(rows, spans)
        return self.listings[table, paired]

    def column(self, slot: Slot, paired: bool) -> int:
        """Pool every value of a slot's column, as the slot wants it written; return where they begin."""
        key = (slot, paired)
        if key not in self.bases:
            lf = self.pack.tables[slot.table]
            values = lf[slot.column].to_list()
            if slot.article:
                articles = lf["article"].to_list() if "article" in lf.columns else [None] * len(values)
                values = [f"{a} {v}" if a else with_article(v) for a, v in zip(articles, values, strict=True)]
            if slot.capital:
                values = [capitalised(v) for v in values]
            self.bases[key] = len(self.pool)
            self.pool += [values[picked[slot.second]] for picked in self.listing(slot.table, paired).rows]
        return self.bases[key]

    def texts(self, choices: tuple[str, ...]) -> int:
        """Pool literal alternatives; return where they begin."""
        if choices not in self.bases:
            self.bases[choices] = len(self.pool)
            self.pool += choices
        return self.bases[choices]

    def form(self, pieces: Form, lanes: dict[str, int], paired: set[str], choice_lane: int, stride: int = 1) -> int:
        """Compile a form and return its number; `lanes` maps tables to lanes."""
        first, used, facts = len(self.positions), set[int](), set[Slot]()
        for piece in _joined(pieces):
            if isinstance(piece, Slot):
                lane, pair = lanes[piece.table], piece.table in paired
                self.positions.append((self.column(piece, pair), lane, 1, _NO_MODULO))
                used.add(lane)
                facts.add(Slot(piece.table, piece.column, piece.second))
            elif piece != ("",):
                self.positions.append((self.texts(piece), choice_lane if len(piece) > 1 else 0, stride, len(piece)))
                stride *= len(piece)
        if stride > MAX_SIDE:
            raise CapacityError(f"a wording has {stride:,} readings, more than {MAX_SIDE:,}; use fewer alternations")
        self.forms.append((first, len(self.positions) - first, n_alternatives(pieces), len(facts)))
        self.uses.append(used)
        return len(self.forms) - 1


def _joined(form: Form) -> Iterator[Slot | Choice]:
    """Multiply neighbouring choices into one where that stays small: fewer fragments per row."""
    run: list[Choice] = []
    for piece in (*form, INPUT):
        if isinstance(piece, Slot) or prod(map(len, run)) * len(piece) > RUN_LIMIT:
            if run:
                yield tuple(map("".join, product(*run)))
            run = []
        if isinstance(piece, Slot):
            if piece != INPUT:
                yield piece
        else:
            run.append(piece)

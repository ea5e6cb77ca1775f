"""A pack made ready for rendering: one pool of text fragments, and integers that say how each form is put together.

A row has *lanes*, one integer each: the row numbers of its scenario tables and detail tables, and which alternative its
wording, context and frame take. A *position* of a form turns a lane into a fragment: base + lane // stride % radix.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from ruvtab.draw import U64
from ruvtab.fragments import Compiler
from ruvtab.pack import MAX_SCENARIO_TABLES, PackSource, Wording
from ruvtab.schema import texts
from ruvtab.wording import INPUT, Slot, n_alternatives

RUN_LIMIT = 256
FIRST_DETAIL = 1 + MAX_SCENARIO_TABLES
_NO_MODULO = 2**32 - 1


@dataclass(frozen=True)
class Lexicon:
    """The compiled pack. `cells` has one row per family × domain; site = cell * levels + level.

    cells: family, domain, category (codes), scenarios, radix (of each scenario table) · sites: one row per cell × level
    in that order with input and context forms (first, count), span (phrasings of the scarcest input × context pair),
    phrasings (of all pairs), facts (slots of the fullest pair), template quality; null where a family lacks the level.
    """

    pool: pa.StringArray
    positions: npt.NDArray[np.uint32]  # (n, 4): base, lane, stride, radix
    forms: npt.NDArray[np.uint64]  # (n, 4): first position, positions, alternatives, facts
    uses: npt.NDArray[np.bool_]  # (forms, details)
    cells: pl.DataFrame
    sites: pl.DataFrame
    scenario_rows: U64  # (cells, tables, 2): first row and rows of each scenario table
    detail_rows: U64  # (sites, details, 2)
    frames: npt.NDArray[np.uint64]  # (variants, 3): prefix form, suffix form, alternative
    n_framed_details: int
    frame_share: float

    @property
    def n_details(self) -> int:
        """Number of detail lanes."""
        return int(self.uses.shape[1])


def compiled(pack: PackSource) -> Lexicon:
    """Compile a sound pack.

    Raises CapacityError where alternations or detail tables multiply beyond 2**31.
    """
    c = Compiler(pack)
    framed = sorted(
        {s.table for w in pack.wordings if w.role == "frame" for f in w.forms for s in f if isinstance(s, Slot)} - {""}
    )
    by_template: dict[tuple[int, int], list[Wording]] = {}
    for wording in pack.wordings:
        by_template.setdefault((wording.family, wording.level), []).append(wording)
    details = {
        key: _details(words, [] if key[0] < 0 else pack.families["scenario"][key[0]].to_list(), framed)
        for key, words in by_template.items()
    }
    n_details = max(map(len, details.values()), default=0)
    choice = FIRST_DETAIL + n_details
    frames = list(
        _frames(c, by_template.pop((-1, -1), []), {t: FIRST_DETAIL + i for i, t in enumerate(framed)}, choice + 2)
    )
    spans: dict[tuple[int, int], tuple[int, int, int, int]] = {}
    pairs: dict[tuple[int, int], set[str]] = {}
    scenarios = pack.families["scenario"].to_list()
    family_pairs = [
        _paired(w for (f, _), words in by_template.items() if f == i for w in words) for i in range(len(scenarios))
    ]
    for key, words in by_template.items():
        scenario = scenarios[key[0]]
        lanes = {t: 1 + i for i, t in enumerate(scenario)} | {t: FIRST_DETAIL + i for i, t in enumerate(details[key])}
        pairs[key] = (family_pairs[key[0]] & set(scenario)) | (_paired(words) - set(scenario))
        ends = []
        for role, lane in (("input", choice), ("context", choice + 1)):
            numbers = [c.form(f, lanes, pairs[key], lane) for w in words if w.role == role for f in w.forms]
            ends += [numbers[0], len(numbers)]
        spans[key] = (ends[0], ends[1], ends[2], ends[3])
    uses = np.array([[FIRST_DETAIL + d in used for d in range(n_details)] for used in c.uses], np.bool_).reshape(
        -1, n_details
    )
    cells, scenario_rows = _cells(c, family_pairs)
    sites, detail_rows = _sites(c, cells, spans, details, pairs, uses)
    return Lexicon(
        texts(c.pool),
        np.array(c.positions, np.uint32).reshape(-1, 4),
        np.array(c.forms, np.uint64).reshape(-1, 4),
        uses,
        cells,
        sites,
        scenario_rows,
        detail_rows,
        np.array(frames, np.uint64).reshape(-1, 3),
        len(framed),
        pack.frame_share,
    )


def _paired(wordings: Iterable[Wording]) -> set[str]:
    return {s.table for w in wordings for f in w.forms for s in f if isinstance(s, Slot) and s.second}


def _details(wordings: list[Wording], scenario: list[str], framed: list[str]) -> list[str]:
    used = {s.table for w in wordings for f in w.forms for s in f if isinstance(s, Slot)}
    return [*framed, *sorted(used - set(scenario) - set(framed) - {""})]


def _frames(
    c: Compiler, wordings: list[Wording], lanes: dict[str, int], choice_lane: int
) -> Iterator[tuple[int, int, int]]:
    """Compile frames; each of their readings is a variant."""
    for form in (f for w in wordings for f in w.forms):
        at = form.index(INPUT)
        prefix, suffix = form[:at], form[at + 1 :]
        numbers = (
            c.form(prefix, lanes, set(), choice_lane),
            c.form(suffix, lanes, set(), choice_lane, n_alternatives(prefix)),
        )
        yield from ((*numbers, alternative) for alternative in range(n_alternatives(form)))


def _cells(c: Compiler, family_pairs: list[set[str]]) -> tuple[pl.DataFrame, U64]:
    """Cross families with their domains and count the scenarios of each cell."""
    taxonomy, families = c.pack.taxonomy, c.pack.families.with_row_index("family")
    codes = {"category": list(taxonomy.categories), "domain": taxonomy.domains}
    cells = families.select("family", "category", "scenario", domain="domains").explode("domain", empty_as_null=True)
    listed = [
        [c.listing(t, t in family_pairs[family]).spans[domain] for t in scenario]
        for family, scenario, domain in cells.select("family", "scenario", "domain").rows()
    ]
    rows = np.array([spans + [(0, 1)] * (MAX_SCENARIO_TABLES - len(spans)) for spans in listed], np.uint64)
    coded = [
        pl.col(name).replace_strict(labels, list(range(len(labels))), return_dtype=pl.Int64)
        for name, labels in codes.items()
    ]
    return cells.select("family", *coded, pl.Series("scenarios", rows[:, :, 1].prod(axis=1))), rows


def _sites(
    c: Compiler,
    cells: pl.DataFrame,
    spans: dict[tuple[int, int], tuple[int, int, int, int]],
    details: dict[tuple[int, int], list[str]],
    pairs: dict[tuple[int, int], set[str]],
    uses: npt.NDArray[np.bool_],
) -> tuple[pl.DataFrame, U64]:
    """Cross cells with levels and count the phrasings of each: inputs × contexts × the details they use."""
    n_levels, n_details, domains = len(c.pack.taxonomy.levels), uses.shape[1], c.pack.taxonomy.domains
    rows = np.zeros((len(cells) * n_levels, n_details, 2), np.uint64)
    rows[:, :, 1] = 1
    for cell, (family, domain) in enumerate(cells.select("family", "domain").rows()):
        for level in range(n_levels):
            for lane, table in enumerate(details.get((family, level), [])):
                rows[cell * n_levels + level, lane] = c.listing(table, table in pairs[family, level]).spans[
                    domains[domain]
                ]
    counts = [pl.Series(f"n{d}", rows[:, d, 1]) for d in range(n_details)]
    used = [pl.Series(f"u{d}", uses[:, d]) for d in range(n_details)]
    forms = (
        pl.DataFrame(
            np.array(c.forms, np.uint64).reshape(-1, 4), schema=["first", "count", "ways", "facts"], orient="row"
        )
        .select("ways", "facts", *used)
        .with_row_index("form")
    )
    templates = pl.DataFrame(
        [(*key, *span) for key, span in spans.items()],
        orient="row",
        schema=["family", "level", "input", "n_inputs", "context", "n_contexts"],
        schema_overrides={"family": pl.UInt32},
    )
    sites = (
        cells.select("family")
        .with_row_index("cell")
        .join(pl.DataFrame({"level": range(n_levels)}), how="cross", maintain_order="left_right")
        .with_columns(*counts)
    )
    sites = sites.join(templates, on=["family", "level"], how="left", maintain_order="left").join(
        c.pack.templates.with_columns(pl.col("family").cast(pl.UInt32), pl.col("level").cast(pl.Int64)),
        on=["family", "level"],
        how="left",
        maintain_order="left",
    )
    return sites.with_row_index("site").join(
        _phrasings(sites, forms, n_details), on="site", how="left", maintain_order="left"
    ), rows


def _phrasings(sites: pl.DataFrame, forms: pl.DataFrame, n_details: int) -> pl.DataFrame:
    """Per site: span (fewest phrasings of any input × context pair), phrasings (of all), facts (most slots of any)."""

    def numbered(role: str) -> pl.DataFrame:
        of_role = templates.select("template", form=pl.int_ranges(role, pl.col(role) + pl.col(f"n_{role}s"))).explode(
            "form", empty_as_null=True
        )
        return of_role.with_columns(pl.col("form").cast(pl.UInt32)).join(
            forms, on="form", how="left", maintain_order="left"
        )

    keyed = sites.drop_nulls("input").with_columns(template=pl.struct("family", "level"))
    templates = keyed.unique("template", keep="first", maintain_order=True)
    of_pairs = numbered("input").join(
        numbered("context"), on="template", how="inner", maintain_order="left_right", suffix="_context"
    )
    n = reduce(
        lambda total, d: total * pl.when(pl.col(f"u{d}") | pl.col(f"u{d}_context")).then(pl.col(f"n{d}")).otherwise(1),
        range(n_details),
        pl.col("ways") * pl.col("ways_context"),
    )
    site = (pl.col("cell") * (sites["level"].max() + 1) + pl.col("level")).cast(pl.UInt32)  # type: ignore[operator]
    return (
        keyed.select(site.alias("site"), "template", "^n[0-9]+$")
        .join(of_pairs, on="template", how="inner", maintain_order="left_right")
        .group_by("site", maintain_order=True)
        .agg(span=n.min(), phrasings=n.sum(), facts=(pl.col("facts") + pl.col("facts_context")).max())
    )

"""The rules of meaning that a pack must keep; each rule is a function that yields faults."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations, pairwise, product
from math import prod
from pathlib import Path

import polars as pl

from ruvtab.errors import Fault, PackError
from ruvtab.kinds import faults_of_kind
from ruvtab.locate import family as family_at
from ruvtab.locate import key, line_of, text
from ruvtab.pack import PackSource, Wording, default_pack, read
from ruvtab.wording import INPUT, Choice, Form, Slot

_SUSPECT = re.compile(r"^\s|\s$|  |\(\||\|\)|\|\||[(|] | [|)]| [,.;:?!]|\)\(|``")
_UNTIDY = re.compile(r"  | [,.;:?!](?!\w)|\(\)|``")


@dataclass
class _Checker:
    pack: PackSource
    domains: dict[str, set[str | None]] = field(default_factory=dict)
    expanded: dict[str, pl.DataFrame] = field(default_factory=dict)
    identifies: dict[tuple[str, tuple[str, ...]], dict[str, str]] = field(default_factory=dict)
    shares: dict[tuple[str, tuple[str, ...]], set[tuple[str, str]]] = field(default_factory=dict)

    @cached_property
    def families(self) -> list[dict[str, object]]:
        return self.pack.families.to_dicts()

    @cached_property
    def paired(self) -> list[set[str]]:
        """Tables that the inputs of each family use in two rows at once."""
        found: list[set[str]] = [set() for _ in self.families]
        for wording in self.pack.wordings:
            if wording.role == "input":
                found[wording.family] |= {s.table for form in wording.forms for s in slots_of(form) if s.second}
        return found

    def at(self, wording: Wording, message: str) -> Fault:
        """Put a fault where the wording stands."""
        return Fault(wording.file, line_of(wording.file, *wording.steps, text(wording.text)), message)

    def serves(self, table: str, domain: str) -> bool:
        """Whether a table has a row for a domain: its own or one for any."""
        if table not in self.domains:
            self.domains[table] = set(self.pack.tables[table]["domain"].unique())
        return bool(self.domains[table] & {domain, None})

    def twins(self, table: str, columns: tuple[str, ...]) -> dict[str, str]:
        """Name two rows of each domain that the columns do not tell apart; domains without such are left out."""
        key = (table, columns)
        if key not in self.identifies:
            served = self.served(table)
            self.identifies[key] = {}
            if self.repeats(served, ("served", *columns)):
                rows = served.group_by("served", *columns).agg(pl.col("@line").sort())
                twice = rows.filter(pl.col("@line").list.len() > 1).sort("served", "@line", descending=True)
                named = twice.select("served", "@line").rows()
                self.identifies[key] = {d: f"lines {lines[0]} and {lines[1]} of {table}.csv" for d, lines in named}
        return self.identifies[key]

    def common_domains(self, table: str, columns: tuple[str, ...]) -> set[tuple[str, str]]:
        """Pairs of domains, sorted, in which some row of the table reads the same by these columns."""
        key = (table, columns)
        if key not in self.shares:
            served, pairs = self.served(table), set[tuple[str, str]]()
            if self.repeats(served, columns):
                rows = served.group_by(*columns).agg(pl.col("served").unique().sort())
                pairs = {pair for found in rows["served"].unique().to_list() for pair in combinations(found, 2)}
            self.shares[key] = pairs
        return self.shares[key]

    def served(self, table: str) -> pl.DataFrame:
        """Rows of a table once per domain that they serve, which is in `served`."""
        if table not in self.expanded:
            domains = pl.when(pl.col("domain").is_null()).then(pl.lit(pl.Series([self.pack.taxonomy.domains])))
            own = domains.otherwise(pl.concat_list("domain")).alias("served")
            self.expanded[table] = self.pack.tables[table].with_columns(own).explode("served", empty_as_null=True)
        return self.expanded[table]

    @staticmethod
    def repeats(lf: pl.DataFrame, columns: tuple[str, ...]) -> bool:
        """Whether two rows are alike in these columns."""
        rows = list(zip(*(lf[column].to_list() for column in columns), strict=True))
        return len(set(rows)) < len(rows)


def faults_of(pack: PackSource) -> list[Fault]:
    """Find every fault of meaning in a pack, in file and line order."""
    checker = _Checker(pack)
    known = [w for w in pack.wordings if not any(True for _ in _unknown_slots(checker, w))]
    faults = [f for w in pack.wordings for f in _unknown_slots(checker, w)]
    faults += [f for rule in _WORDING_RULES for w in known for f in rule(checker, w)]
    faults += [f for rule in _PACK_RULES for f in rule(checker)]
    return sorted({*faults, *faults_of_kind(pack)})


def load(root: Path | None = None) -> PackSource:
    """Read a pack, the default one when `root` is None, and refuse it with all its faults at once (PackError)."""
    pack, faults = read(default_pack() if root is None else Path(root))
    if faults := faults + faults_of(pack):
        raise PackError(faults)
    return pack


def slots_of(form: Form) -> list[Slot]:
    """List the slots of a form, in order."""
    return [piece for piece in form if isinstance(piece, Slot)]


def _columns(form: Form, table: str) -> tuple[str, ...]:
    return tuple(sorted({s.column for s in slots_of(form) if s.table == table and not s.second}))


def _unknown_slots(checker: _Checker, wording: Wording) -> Iterator[Fault]:
    for slot in {s for form in wording.forms for s in slots_of(form)}:
        table = checker.pack.tables.get(slot.table)
        if slot == INPUT:
            if wording.role != "frame":
                yield checker.at(wording, "{} stands for the input and belongs in frames.toml only")
        elif table is None:
            yield checker.at(wording, f"unknown table in slot {slot}; tables are {', '.join(checker.pack.tables)}")
        elif slot.column not in table.columns[1:-1]:
            yield checker.at(
                wording, f"unknown column in slot {slot}; {slot.table} has {', '.join(table.columns[1:-1])}"
            )


def _empty_tables(checker: _Checker, wording: Wording) -> Iterator[Fault]:
    domains = checker.families[wording.family]["domains"] if wording.family >= 0 else checker.pack.taxonomy.domains
    for table in {s.table for form in wording.forms for s in slots_of(form) if s != INPUT}:
        for domain in domains:  # type: ignore[attr-defined]
            if not checker.serves(table, domain):
                yield checker.at(
                    wording,
                    f"table {table} has no row for domain {domain}; add rows or drop the domain from the family",
                )


def _articles(checker: _Checker, wording: Wording) -> Iterator[Fault]:
    for slot in {s for form in wording.forms for s in slots_of(form) if s.article}:
        kind = checker.pack.kinds.get(slot.table, {}).get(slot.column, "noun")
        if kind != "noun":
            yield checker.at(wording, f"{slot} puts an article before a {kind}; only a bare noun takes one")


def _adjacent_slots(checker: _Checker, wording: Wording) -> Iterator[Fault]:
    for form in wording.forms:
        for left, right in pairwise(form):
            if isinstance(left, Slot) and isinstance(right, Slot):
                yield checker.at(wording, f"{left} and {right} touch; put a word or a comma between them")


def _untidy(checker: _Checker, wording: Wording) -> Iterator[Fault]:
    """Doubled or stray spaces in any reading, and two readings that are the same text."""
    if not _SUSPECT.search(wording.text):
        return
    for form in wording.forms:
        runs = [_texts(run) for run in _runs(form)]
        for texts in runs:
            if bad := next((text for text in texts if _UNTIDY.search(text)), None):
                yield checker.at(wording, f"untidy spacing or punctuation in {bad!r}")
            if len(set(texts)) < len(texts):
                yield checker.at(wording, "two choices of alternatives give the same text; drop one")
        if any(text[:1] == " " for text in runs[0]) or any(text[-1:] == " " for text in runs[-1]):
            yield checker.at(wording, "a reading begins or ends with a space; move the space inside the alternation")


def _texts(run: list[Choice]) -> list[str]:
    """All texts of a run where they are few, else its single alternatives, once each."""
    if prod(map(len, run)) <= 4096:
        return ["".join(text) for text in product(*run)]
    return list({text for choice in run for text in choice})


def _runs(form: Form) -> Iterator[list[Choice]]:
    run: list[Choice] = []
    for piece in form:
        if isinstance(piece, Slot):
            yield run
            run = []
        else:
            run.append(piece)
    yield run


def _scenario_told(checker: _Checker, wording: Wording) -> Iterator[Fault]:
    """Every input names each scenario table by columns that tell its rows apart, and tells its domains apart."""
    if wording.role != "input":
        return
    family = checker.families[wording.family]
    tables, domains = family["scenario"], family["domains"]
    for form in wording.forms:
        used = {table: _columns(form, table) for table in tables}  # type: ignore[attr-defined]
        for table in sorted(checker.paired[wording.family] & set(used)):
            if not any(s.table == table and s.second for s in slots_of(form)):
                yield checker.at(
                    wording,
                    f"does not use {table}#2, as other inputs do: a scenario is a pair then; name both",
                )
        for table in [t for t in used if t in checker.pack.tables]:
            if not used[table]:
                yield checker.at(
                    wording,
                    f"does not use scenario table {table}; name one of its columns, or drop the table from scenario",
                )
                continue
            twins = checker.twins(table, used[table])
            if clash := next((twins[domain] for domain in domains if domain in twins), None):  # type: ignore[attr-defined]
                message = f"does not tell its scenario: {clash} read the same by {', '.join(used[table])}"
                yield checker.at(wording, f"{message}; use a column that differs, or change a row")
        mixed = {(a, b) for a, b in combinations(sorted(domains), 2)}  # type: ignore[call-overload]
        for table in [t for t, columns in used.items() if columns and t in checker.pack.tables]:
            mixed &= checker.common_domains(table, used[table])
        if mixed:
            one, other = min(mixed)
            message = f"can read the same in {one} and {other}: no scenario table's values differ between them"
            yield checker.at(
                wording, f"{message}; use a column that is the domain's own, or change the rows that both have"
            )


def _scenario_tables(checker: _Checker) -> Iterator[Fault]:
    framed = {s.table for w in checker.pack.wordings if w.role == "frame" for form in w.forms for s in slots_of(form)}
    for family in checker.families:
        file = Path(str(family["file"]))
        line = line_of(file, family_at(str(family["id"])), key("scenario"))
        for table in family["scenario"]:  # type: ignore[attr-defined]
            if table not in checker.pack.tables:
                yield Fault(
                    file, line, f"unknown scenario table {table!r}; tables are {', '.join(checker.pack.tables)}"
                )
            elif table in framed:
                yield Fault(file, line, f"scenario table {table!r} is used by frames too; take it out of one of them")
            else:
                for domain in family["domains"]:  # type: ignore[attr-defined]
                    if not checker.serves(table, domain):
                        yield Fault(
                            file,
                            line,
                            f"scenario table {table} has no row for domain {domain}; add rows or drop the domain",
                        )


def _equal_wordings(checker: _Checker) -> Iterator[Fault]:
    first: dict[tuple[str, str], Wording] = {}
    for wording in checker.pack.wordings:
        scope = wording.role if wording.role != "context" else f"context {wording.family} {wording.level}"
        key = (scope, " ".join(wording.text.lower().split()))
        if key in first:
            other = first[key]
            where = "" if other.family < 0 else f" in {checker.families[other.family]['id']}"
            yield checker.at(
                wording, f"the same wording stands already{where}: {wording.text!r:.70}; every wording must differ"
            )
        first.setdefault(key, wording)


def _frames(checker: _Checker) -> Iterator[Fault]:
    framed = {s.table for w in checker.pack.wordings if w.role == "frame" for form in w.forms for s in slots_of(form)}
    for wording in checker.pack.wordings:
        for slot in {s for form in wording.forms for s in slots_of(form) if s.second and s.table in framed}:
            yield checker.at(
                wording,
                f"{slot}: frames use this table, so it has no second row; drop the #2, or the table from frames.toml",
            )
    for wording in checker.pack.wordings:
        if wording.role == "frame" and any(slots_of(form).count(INPUT) != 1 for form in wording.forms):
            yield checker.at(wording, "a frame needs exactly one {}, where the input goes")


_WORDING_RULES: tuple[Callable[[_Checker, Wording], Iterator[Fault]], ...] = (
    _empty_tables,
    _articles,
    _adjacent_slots,
    _untidy,
    _scenario_told,
)
_PACK_RULES: tuple[Callable[[_Checker], Iterator[Fault]], ...] = (_scenario_tables, _equal_wordings, _frames)

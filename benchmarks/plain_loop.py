"""The default pack's templates filled row by row in plain Python: what `bench_build.py` measures ruvtab beside.

    python benchmarks/plain_loop.py 100000 rows.jsonl

It is written with care for speed. Before the clock runs, wordings are parsed, and values with their articles and
capitals are listed per domain; a draw is one call of random.random, the JSON encoder is made once. It does less than
ruvtab: rows can repeat, quotas are met on average only, split is drawn per group, the file is not hashed.
"""

from __future__ import annotations

import json
import sys
import time
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate, cycle, islice
from pathlib import Path
from random import Random
from typing import Any

from ruvtab import AugmentationConfig, check
from ruvtab.config import SPLITS
from ruvtab.pack import PackSource
from ruvtab.wording import INPUT, Form, Slot, capitalised, with_article

# per piece of a form: the table whose drawn row picks a value ("" for an alternation), the values, how many
Program = list[tuple[str, Sequence[str], int]]
Values = dict[tuple[Slot, str], list[str]]


@dataclass(frozen=True)
class Cell:
    """One family at one level in one domain: its programs, what its rows share, where a seed's relatives may go."""

    inputs: list[Program]
    contexts: list[Program]
    scenario: list[tuple[str, int]]
    agent: str
    labels: dict[str, str]
    quality: float
    tags: list[str]
    family: str
    other_levels: list[tuple[int, int, str]]
    other_domains: list[tuple[int, int, str]]


def values_of(pack: PackSource) -> Values:
    """List the values of every slot for every domain, as the slot wants them written."""
    listed: Values = {}
    slots = {piece for w in pack.wordings for form in w.forms for piece in form if isinstance(piece, Slot)} - {INPUT}
    for slot in slots:
        for domain in pack.taxonomy.domains:
            rows = [r for r in pack.tables[slot.table].to_dicts() if r["domain"] in (domain, None)]
            values = [r[slot.column] for r in rows]
            if slot.article:
                articles = [r.get("article") for r in rows]
                values = [f"{a} {v}" if a else with_article(v) for a, v in zip(articles, values, strict=True)]
            listed[slot, domain] = [capitalised(v) for v in values] if slot.capital else values
    return listed


def program(form: Form, domain: str, listed: Values) -> Program:
    """Turn a form into the steps that `PlainLoop.filled` takes."""
    steps: Program = []
    for piece in form:
        texts = listed[piece, domain] if isinstance(piece, Slot) else piece
        key = f"{piece.table}{'#2' * piece.second}" if isinstance(piece, Slot) else ""
        steps.append((key, texts, len(texts)))
    return steps


class PlainLoop:
    """Makes rows one by one: for each seed its paraphrases, variations at other levels and transfers."""

    def __init__(self, seed: int = 42) -> None:
        pack, self.random = check.load(None), Random(seed).random
        self.bits, rates = Random(seed).getrandbits, AugmentationConfig()
        self.rates = (rates.paraphrases_per_example, rates.complexity_variations, rates.domain_transfers)
        self.categories, self.language = list(pack.taxonomy.categories), pack.meta.language
        self.quality, self.frame_share = pack.meta.quality, pack.frame_share
        self.level_ends = list(accumulate(pack.taxonomy.levels.values()))[:-1]
        self.cells: dict[tuple[int, int, str], Cell] = {}
        self.homes: dict[tuple[str, int], list[list[tuple[int, int, str]]]] = {}
        self._compile(pack, values_of(pack))

    def _compile(self, pack: PackSource, listed: Values) -> None:
        forms: dict[tuple[int, int, str], list[Form]] = {}
        for wording in pack.wordings:
            forms.setdefault((wording.family, wording.level, wording.role), []).extend(wording.forms)
        self.frames = {
            d: [
                (program(f[: f.index(INPUT)], d, listed), program(f[f.index(INPUT) + 1 :], d, listed))
                for f in forms.get((-1, -1, "frame"), [])
            ]
            for d in pack.taxonomy.domains
        }
        sizes = {(slot.table, domain): len(values) for (slot, domain), values in listed.items()}
        families, templates = pack.families.to_dicts(), pack.templates.to_dicts()
        names = list(pack.taxonomy.levels)
        for template in templates:
            number, level = template["family"], template["level"]
            family = families[number]
            category, domains = family["category"], family["domains"]
            owner = pack.taxonomy.categories[category]
            levels = [t["level"] for t in templates if t["family"] == number]
            self.homes.setdefault((category, level), []).append([(number, level, d) for d in domains])
            for d in domains:
                labels = {"category": category, "complexity": names[level], "domain": d}
                self.cells[number, level, d] = Cell(
                    [program(f, d, listed) for f in forms[number, level, "input"]],
                    [program(f, d, listed) for f in forms[number, level, "context"]],
                    [(t, sizes[t, d]) for t in family["scenario"]],
                    owner.agent,
                    labels | {"expected_model": owner.routing[names[level]]},
                    template["quality"],
                    family["tags"],
                    family["id"],
                    [(number, other, d) for other in levels if other != level],
                    [(number, level, other) for other in domains if other != d],
                )

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield rows without end, categories in turn."""
        random, cells = self.random, self.cells
        train, validation = 0.7, 0.85
        for category in cycle(self.categories):
            families = self.homes[category, bisect(self.level_ends, random())]
            home = families[int(random() * len(families))]
            key = home[int(random() * len(home))]
            cell = cells[key]
            scenario = {table: int(random() * n) for table, n in cell.scenario}
            draw = random()
            group, split = f"{self.bits(64):016x}", SPLITS[(draw >= train) + (draw >= validation)]
            yield self.row(cell, "seed", scenario, group, split)
            for _ in range(int(self.rates[0] + random())):
                yield self.row(cell, "paraphrase", scenario, group, split)
            if others := cell.other_levels:
                for _ in range(int(self.rates[1] + random())):
                    yield self.row(cells[others[int(random() * len(others))]], "complexity", scenario, group, split)
            if others := cell.other_domains:
                for _ in range(int(self.rates[2] + random())):
                    other = cells[others[int(random() * len(others))]]
                    moved = {table: int(random() * n) for table, n in other.scenario}
                    yield self.row(other, "domain", moved, group, split)

    def row(self, cell: Cell, origin: str, scenario: dict[str, int], group: str, split: str) -> dict[str, Any]:
        """Make one row of a cell; `scenario` is what the rows of a group share."""
        random, drawn = self.random, scenario.copy()
        text = self.filled(cell.inputs[int(random() * len(cell.inputs))], drawn)
        context = self.filled(cell.contexts[int(random() * len(cell.contexts))], drawn)
        if random() < self.frame_share:
            frames = self.frames[cell.labels["domain"]]
            before, behind = frames[int(random() * len(frames))]
            text = f"{self.filled(before, drawn)}{text}{self.filled(behind, drawn)}"
        quality = cell.quality
        if origin in self.quality:
            low, high = self.quality[origin]
            quality = round(low + (high - low) * random(), 3)
        return {
            "input": text,
            "context": context,
            "output_agent": cell.agent,
            "metadata": {**cell.labels, "quality_score": quality, "tags": cell.tags},
            "id": blake2b(f"{text}\x1f{context}".encode(), digest_size=8).hexdigest(),
            "group_id": group,
            "origin": origin,
            "split": split,
            "family": cell.family,
            "language": self.language,
        }

    def filled(self, steps: Program, drawn: dict[str, int]) -> str:
        """Fill one form; slots of one table take the same row of it, which `drawn` holds."""
        parts, random = [], self.random
        for key, texts, n in steps:
            if key == "":
                parts.append(texts[int(random() * n)] if n > 1 else texts[0])
                continue
            row = drawn.get(key)
            if row is None:
                row = int(random() * n)
                if key[-1] == "2" and key.endswith("#2"):
                    first = drawn.setdefault(key[:-2], int(random() * n))
                    row = (first + 1 + int(random() * (n - 1))) % n
                drawn[key] = row
            parts.append(texts[row])
        return "".join(parts)

    def write(self, path: Path, n_rows: int) -> int:
        """Write rows as JSON lines into one file and return its bytes."""
        encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode
        with path.open("w", encoding="utf-8", newline="\n") as file:
            for row in islice(self.rows(), n_rows):
                file.write(encoded(row) + "\n")
        return path.stat().st_size


if __name__ == "__main__":
    loop, start = PlainLoop(), time.perf_counter()
    loop.write(Path(sys.argv[2]), int(sys.argv[1]))
    print(f"{int(sys.argv[1]) / (time.perf_counter() - start):,.0f} rows/s", file=sys.stderr)

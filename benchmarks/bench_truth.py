"""Measure what routers trained on ruvtab's data do with labelled requests that nobody generated.

    python benchmarks/bench_truth.py labelled.jsonl                    2,700 and 50,000 rows, own splits, shortcuts
    python benchmarks/bench_truth.py labelled.jsonl --sizes 2700       the default config only
    python benchmarks/bench_truth.py labelled.jsonl --other a.jsonl    another dataset in the same table

Needs `pip install -e '.[eval]'`. The labelled file has input, category, complexity and domain; where its rows have an
id, a third of them (crc32 of the id, modulo 3) is also reported alone: it was held back while the pack was written.
All rows of a dataset are trained on, on inputs and on inputs with context; inputs alone are decided. Figures are
macro-F1, for the model the share of right tiers by the routing table. Nothing is drawn: the same version gives the same
table. Figures of the other datasets in OTHERS were measured for this project with scikit-learn's TF-IDF and logistic
regression, not by this script.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from zlib import crc32

import polars as pl

from ruvtab import DatasetConfig, build
from ruvtab.audit import audit
from ruvtab.evaluate import TASKS, evaluate
from ruvtab.fit import fitted
from ruvtab.labelled import read_labelled
from ruvtab.measures import macro_f1
from ruvtab.prepare import prepared
from ruvtab.router import routing_of
from ruvtab.taxonomy import Taxonomy

OTHERS = [
    ["the original generator, 2,681 rows", "0.38", "0.21", "0.12", "0.46"],
    ["450 requests labelled by hand", "0.82", "0.81", "0.59", "0.80"],
]
TARGETS = {2_700: ["0.82", "0.76", "0.62", "0.80"], 50_000: ["0.86", "0.80", "0.70", "0.83"]}
MEANING = (
    "Figures are macro-F1 of logistic regression over hashed words and pieces of words, trained on all rows of a build "
    "and tried on inputs alone; for the model, the share of right tiers by the routing table. The requests were "
    "written by people for the project, in equal numbers per category and level; they are not a sample of anybody's "
    "traffic, and a router for yours should be tried on yours. A third was held back while the pack was written. The "
    "test split by group has kinds of work that were trained on, in other words and about other things; the one by "
    "subject has kinds of work never seen, and is the honest figure of the two."
)


def parts_of(labelled: Path) -> dict[str, pl.DataFrame]:
    """Read the labelled rows, and where they have ids also the part worked on and the part held back."""
    rows = pl.read_ndjson(labelled)
    if "id" not in rows.columns:
        return {"all": rows}
    held = pl.Series([crc32(name.encode()) % 3 == 0 for name in rows["id"].cast(pl.String)])
    return {"all": rows, "worked on": rows.filter(~held), "held back": rows.filter(held)}


def scored(name: str, dataset: Path, parts: dict[str, pl.DataFrame], taxonomy: Taxonomy) -> list[list[str]]:
    """Train on a dataset and list a line for each part."""
    table, agents = routing_of(taxonomy.routing)
    router = fitted(read_labelled(dataset).df, TASKS).with_routing(table, agents)
    lines = []
    for part, df in parts.items():
        decided = router.route(df["input"].to_list())
        right = [table[c][level] for c, level in df.select(TASKS[:2]).rows()]
        scores = [f1(df[label], decided[label], router.head.labels[label]) for label in TASKS]
        lines.append([f"{name}: {part}", *(f"{s:.3f}" for s in scores), f"{(decided['model'] == right).mean():.3f}"])
        print(f"measured: {lines[-1]}", file=sys.stderr)
    return lines


def f1(truth: pl.Series, decided: pl.Series, names: list[str]) -> float:
    codes = [
        s.replace_strict(names, list(range(len(names))), return_dtype=pl.Int64).to_numpy() for s in (truth, decided)
    ]
    return macro_f1(codes[0], codes[1], len(names))


def printed(part: dict[str, Any]) -> None:
    header = part["header"]
    print(f"\n{part['title']}\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for line in part["lines"]:
        print(f"| {' | '.join(line)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labelled", type=Path)
    parser.add_argument("--sizes", default="2700,50000", help="rows of the datasets to build")
    parser.add_argument("--own-rows", type=int, default=20_000, help="rows of the dataset split both ways")
    parser.add_argument("--other", type=Path, action="append", default=[], help="another dataset for the table")
    parser.add_argument("--record", type=Path, help="write the tables as JSON: data/measured.json is what cards print")
    chosen = parser.parse_args()
    taxonomy = prepared()[0].taxonomy
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        parts, lines, shortcuts = parts_of(chosen.labelled), list(OTHERS), list[list[str]]()
        for other in chosen.other:
            lines += scored(other.name, other, parts, taxonomy)
        for n_rows in map(int, chosen.sizes.split(",")):
            config = DatasetConfig() if n_rows == 2_700 else DatasetConfig(rows=n_rows)
            build(config, folder / str(n_rows), formats=["parquet"])
            lines += scored(f"ruvtab, {n_rows:,} rows", folder / str(n_rows), parts, taxonomy)
            if n_rows in TARGETS:
                lines.append([f"(wanted of {n_rows:,} rows)", *TARGETS[n_rows]])
            found = audit(folder / str(n_rows)).shortcuts
            shortcuts += [
                [f"{n_rows:,} rows: {label}", *(f"{found[label][key]:.2f}" for key in ("length", "first word"))]
                for label in TASKS
            ]
        own = []
        for holdout in ("group", "subject"):
            path = folder / holdout
            build(DatasetConfig(rows=chosen.own_rows, holdout=holdout), path, formats=["parquet"])
            report = evaluate(path).report
            own.append([holdout, *(f"{report['scores'][label]['router']['macro_f1']:.3f}" for label in TASKS)])
    header = ["category", "complexity", "domain"]
    tried = len(parts["all"])
    tables = [
        {"title": f"Tried on {tried} other requests:", "header": ["trained on", *header, "model"], "lines": lines},
        {
            "title": f"On the test split of {chosen.own_rows:,} rows, by what is held out:",
            "header": ["held out", *header],
            "lines": own,
        },
        {
            "title": "What should not suffice, on the own test split:",
            "header": ["label", "by length", "by first word"],
            "lines": shortcuts,
        },
    ]
    for part in tables:
        printed(part)
    if chosen.record is not None:
        found = {"pack": prepared()[0].digest, "tables": tables, "meaning": MEANING}
        chosen.record.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"\n{time.perf_counter() - started:,.0f} s")


if __name__ == "__main__":
    main()

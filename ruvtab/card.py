"""The dataset card: README.md with the YAML that lets `datasets.load_dataset` open the folder."""

from __future__ import annotations

import json
from typing import Any

from ruvtab.config import SPLITS
from ruvtab.pack import default_pack
from ruvtab.plan import Plan


def card(plan: Plan, stats: dict[str, Any], files: dict[str, dict[str, Any]], mark: str) -> str:
    """Write the card of a dataset from its plan, its stats and its files' manifest entries."""
    meta, config = plan.pack.meta, plan.config.recorded()
    shares = "\n\n".join(
        _share_table(column, stats)
        for column in ("category", "complexity", "expected_model", "domain", "origin", "split")
    )
    listed = "\n".join(
        f"| `{name}` | {entry['rows'] or ''} | {entry['bytes']:,} |" for name, entry in sorted(files.items())
    )
    return f"""{_yaml(plan, stats, files)}
# Task requests for training a router

{stats["rows"]:,} labelled requests, built by ruvtab from the pack `{meta.name}` {meta.version}. {meta.description}
Every text is synthetic, made from hand-written wordings. All rows about one scenario share a `group_id` and a split.

Fingerprint `{mark}`. Rebuild exactly with the same ruvtab version and this config:

```json
{json.dumps(config, indent=2)}
```

## Shares

{shares}

{_truth(plan.pack.digest)}## Files

| file | rows | bytes |
|---|---|---|
{listed}

Licence of the pack: {meta.licence}.
"""


def _truth(digest: str) -> str:
    """Tell what routers trained on the pack's data were measured to do, where that was recorded of this very pack."""
    try:
        found = json.loads((default_pack().parent / "measured.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    if found["pack"] != digest:
        return ""
    parts = [f"{part['title']}\n\n{_table(part['header'], part['lines'])}" for part in found["tables"]]
    return "\n\n".join(["## What it teaches", *parts, found["meaning"]]) + "\n\n"


def _table(header: list[str], lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *lines))


def _yaml(plan: Plan, stats: dict[str, Any], files: dict[str, dict[str, Any]]) -> str:
    lines = [
        "---",
        f"language: {plan.pack.meta.language}",
        f"license: {plan.pack.meta.licence.lower()}",
        "task_categories:",
        "- text-classification",
        f"size_categories:\n- {_size(stats['rows'])}",
    ]
    paths = {split: [name for name in sorted(files) if name.startswith(f"data/{split}-")] for split in SPLITS}
    if any(paths.values()):
        lines += ["configs:", "- config_name: default", "  data_files:"]
        lines += [f"  - split: {split}\n    path: data/{split}-*.parquet" for split in SPLITS if paths[split]]
    return "\n".join([*lines, "---"])


def _size(n: int) -> str:
    bounds = (
        (1_000, "n<1K"),
        (10_000, "1K<n<10K"),
        (100_000, "10K<n<100K"),
        (10**6, "100K<n<1M"),
        (10**7, "1M<n<10M"),
        (10**8, "10M<n<100M"),
        (10**9, "100M<n<1B"),
    )
    return next((name for bound, name in bounds if n < bound), "n>1B")


def _share_table(column: str, stats: dict[str, Any]) -> str:
    rows = "\n".join(
        f"| {label} | {n:,} | {stats['shares'][column][label]:.1%} |" for label, n in stats["counts"][column].items()
    )
    return f"| {column} | rows | share |\n|---|---|---|\n{rows}"


def model_card(report: dict[str, Any]) -> str:
    """Write the card of a router from the report of its evaluation."""
    scores = "\n".join(
        f"| {label} | {name} | {s['macro_f1']:.3f} | " + (f"{s['accuracy']:.3f}" if "accuracy" in s else "") + " |"
        for label, found in report["scores"].items()
        for name, s in found.items()
    )
    models = "".join(
        f"\nModel by the routing table: {name} {share:.3f} right."
        for name, share in report.get("model_accuracy", {}).items()
    )
    return f"""---
library_name: ruvtab
pipeline_tag: text-classification
---

# A task router

Logistic regression over hashed words and pieces of words, fitted by ruvtab on {report["train_rows"]:,} rows of
`{report["dataset"]}` and tried on {report["rows"]:,} rows of `{report["on"]}`, inputs alone.

| label | predictor | macro-F1 | accuracy |
|---|---|---|---|
{scores}
{models}

Use it: `ruvtab route "add a test for the parser" --router THIS_FOLDER`. It knows the kinds of request it was trained on
and no others; its confidence is that of its least certain label. `router.npz` holds weights without pickles.
"""

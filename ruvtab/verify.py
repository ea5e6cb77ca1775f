"""Is a dataset folder what its manifest says, and are its rows what its config gives?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import ValidationError

from ruvtab.builder import plan_of
from ruvtab.config import DatasetConfig
from ruvtab.draw import bits, key_of
from ruvtab.errors import OutputError
from ruvtab.manifest import MANIFEST, file_problem, fingerprint, read_manifest
from ruvtab.plan import Plan
from ruvtab.render import Renderer
from ruvtab.schema import SCHEMA


def verify(
    folder: Path, *, pack: Path | None = None, sample: int = 200, progress: Callable[[int, int], None] | None = None
) -> list[str]:
    """Compare every file with the manifest, and `sample` rows with the same rows rendered anew; return what differs.

    Raises OutputError where there is no manifest, PackError where the pack cannot be read.
    """
    manifest = read_manifest(folder)
    problems: list[str] = []
    for done, entry in enumerate(manifest["files"], 1):
        if problem := file_problem(folder, entry):
            problems.append(problem)
        if progress:
            progress(done, len(manifest["files"]))
    try:
        config = DatasetConfig.model_validate(manifest["config"] | {"pack": pack})
    except ValidationError as error:
        raise OutputError(f"{folder / MANIFEST}: not a manifest: config: {error.errors()[0]['msg']}") from error
    plan = plan_of(config)
    if fingerprint(plan) != manifest["fingerprint"]:
        recorded = manifest["pack"]
        why = (
            f"its pack was {recorded['name']} {recorded['version']} ({recorded['hash'][:8]}), this one is "
            f"{plan.pack.meta.name} {plan.pack.meta.version} ({plan.pack.digest[:8]}); give the pack with --pack"
            if plan.pack.digest != recorded["hash"]
            else f"it was built by ruvtab {manifest['versions']['ruvtab']}"
        )
        return [*problems, f"rows cannot be rendered anew: {why}"]
    return problems + ([] if problems else _row_problems(folder, manifest, plan, sample))


def _row_problems(folder: Path, manifest: dict[str, Any], plan: Plan, sample: int) -> list[str]:
    """Render rows from all over the plan and look them up in the files by id."""
    if not (n := min(sample, plan.n_rows)):
        return []
    drawn = bits(np.arange(n, dtype=np.uint64), key_of(0, f"verify/{manifest['fingerprint']}")) % np.uint64(plan.n_rows)
    renderer = Renderer(plan)
    wanted = pl.concat(
        [pl.DataFrame(pl.from_arrow(renderer.batch(renderer.chunk(i, i + 1)))) for i in sorted({int(i) for i in drawn})]
    )
    found = _rows_with(folder, manifest, wanted["id"])
    if found is None:
        return ["rows cannot be looked up: the dataset has neither Parquet nor JSONL files"]
    missing = wanted.join(found, on="id", how="anti", maintain_order="left")
    both = wanted.join(found, on="id", how="inner", suffix="_found", maintain_order="left")
    changed = both.filter(
        pl.any_horizontal(pl.col(c).ne_missing(pl.col(f"{c}_found")) for c in SCHEMA.names if c != "id")
    )
    return [f"row {i} of the config is not in the files" for i in missing["id"]] + [
        f"row {i} differs from the config's" for i in changed["id"]
    ]


def _rows_with(folder: Path, manifest: dict[str, Any], ids: pl.Series) -> pl.DataFrame | None:
    names = [entry["name"] for entry in manifest["files"]]
    if parquet := [folder / name for name in names if name.endswith(".parquet")]:
        lf = pl.scan_parquet(parquet)
    elif jsonl := [folder / name for name in names if name.startswith("jsonl/") and "_full" in name]:
        lf = pl.scan_ndjson(jsonl).unnest("metadata").with_columns(pl.col("quality_score").cast(pl.Float32))
    elif pretty := [folder / name for name in names if name.endswith("_full.json")]:
        lf = pl.read_json(pretty[0]).lazy().unnest("metadata").with_columns(pl.col("quality_score").cast(pl.Float32))
    else:
        return None
    try:
        return lf.filter(pl.col("id").is_in(ids.implode())).select(SCHEMA.names).collect(engine="streaming")
    except pl.exceptions.PolarsError as error:
        raise OutputError(f"{folder}: rows cannot be read, though the files are as written: {error}") from error

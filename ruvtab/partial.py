"""Which build a folder holds, begun or finished, and whether it is the one that is asked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

import ruvtab
from ruvtab.errors import OutputError
from ruvtab.manifest import MANIFEST, read_manifest
from ruvtab.plan import Plan
from ruvtab.shard import Layout

PARTIAL = ".ruvtab-partial"
BUILD = "build.json"


def identity(plan: Plan, layout: Layout, mark: str) -> dict[str, Any]:
    """Say which build this is: what must not differ for a build to go on."""
    meta = plan.pack.meta
    return {
        "fingerprint": mark,
        "config": plan.config.recorded(),
        "pack": {"name": meta.name, "version": meta.version, "hash": plan.pack.digest},
        "versions": {lib.__name__: lib.__version__ for lib in (ruvtab, pl, pa, np)},
        "layout": layout.recorded(),
    }


def finished(target: Path, plan: Plan, layout: Layout, mark: str, overwrite: bool) -> dict[str, Any] | None:
    """Return the manifest of this very build where it is finished; raise OutputError where something else is there."""
    try:
        found = sorted(p.name for p in target.iterdir()) if target.exists() else []
        begun = target / PARTIAL / BUILD
        before = json.loads(begun.read_text(encoding="utf-8")) if begun.exists() else None
    except NotADirectoryError:
        raise OutputError(f"{target} is a file; name a folder to build into") from None
    except (OSError, ValueError) as error:
        raise OutputError(f"{target}: cannot be used: {error}; name another folder") from error
    ours = identity(plan, layout, mark)
    manifest = read_manifest(target) if MANIFEST in found and not overwrite else None
    if overwrite and before != ours:
        shutil.rmtree(target / PARTIAL, ignore_errors=True)
    return compared(str(target), ours, manifest, before, found, overwrite)


def compared(
    where: str,
    ours: dict[str, Any],
    manifest: dict[str, Any] | None,
    begun: dict[str, Any] | None,
    found: list[str],
    overwrite: bool,
) -> dict[str, Any] | None:
    """Return a manifest that is of our build; raise OutputError where another dataset, build or file is in the way."""
    if overwrite:
        return None
    before = begun if manifest is None else {name: manifest.get(name) for name in ours}
    if manifest is not None and before == ours:
        return manifest
    if before is not None and before != ours:
        raise OutputError(
            f"{where} holds {'an unfinished build' if manifest is None else 'a dataset'} of another config: "
            f"{'; '.join(_differences(before, ours))}. --overwrite begins anew; or name another folder"
        )
    if before is None and (left := [name for name in found if name != PARTIAL]):
        more = ", …" if len(left) > 3 else ""
        raise OutputError(
            f"{where} is not empty, it holds {', '.join(left[:3])}{more}: --overwrite replaces the dataset in it; "
            "or name another folder"
        )
    return None


def _differences(before: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    told = []
    for part in ("config", "pack", "versions", "layout"):
        old, new = before.get(part) or {}, ours[part]
        told += [f"{k} {old.get(k)} there, {new.get(k)} here" for k in {**old, **new} if old.get(k) != new.get(k)]
    return told or ["its fingerprint differs"]

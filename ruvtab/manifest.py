"""What a dataset is known by: its fingerprint, content hash, stats, and the manifest that makes a folder one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import ruvtab
from ruvtab.config import ORIGINS, SPLITS
from ruvtab.draw import U64, mixed
from ruvtab.errors import OutputError
from ruvtab.plan import Plan
from ruvtab.render import Chunk, Renderer
from ruvtab.stats import COUNTED, stats_of

MANIFEST = "manifest.json"
_COUNTS = pl.Schema({"site": pl.Int64, "origin": pl.UInt8, "split": pl.UInt8, "rows": pl.Int64, "quality": pl.Int64})
_BLOCK = 1 << 20


def fingerprint(plan: Plan) -> str:
    """Name everything that decides the rows: config, pack and version, as 16 hex digits."""
    decides = [plan.config.recorded(), plan.pack.digest, ruvtab.__version__]
    return blake2b(json.dumps(decides, sort_keys=True).encode(), digest_size=8).hexdigest()


@dataclass
class Tally:
    """Adds chunks up: rows per site, origin and split, and a content hash that no chunking or order changes.

    The content hash is the sum of two scrambles of every row's number, id, group, labels and score, modulo 2**64 each.
    """

    renderer: Renderer
    counts: list[pl.DataFrame] = field(default_factory=list)
    _sums: list[int] = field(default_factory=lambda: [0, 0])

    def add(self, chunk: Chunk) -> None:
        """Count a chunk in."""
        rows = chunk.rows
        self.counts.append(
            rows.group_by("site", "origin", "split")
            .agg(rows=pl.len().cast(pl.Int64), quality=pl.sum("quality").cast(pl.Int64))
            .cast(_COUNTS)
        )
        if len(self.counts) > 8:
            self.counts = [_summed(self.counts)]
        codes = (
            rows["quality"].to_numpy().astype(np.uint64) * np.uint64(16)
            + rows["origin"].to_numpy() * np.uint64(4)
            + rows["split"].to_numpy()
        )
        h = mixed(
            chunk.ids
            + mixed(
                rows["row"].to_numpy()
                + mixed(rows["group"].to_numpy() + mixed(codes + self._labels[rows["site"].to_numpy()]))
            )
        )
        for i, part in enumerate((h, mixed(h + np.uint64(1)))):
            self._sums[i] = (self._sums[i] + int(part.sum(dtype=np.uint64))) % 2**64

    @cached_property
    def _labels(self) -> U64:
        """A number per site that stands for its labels."""
        columns = [pl.col("tags").list.join(","), pl.exclude("tags")]
        texts = self.renderer.labels.select(pl.concat_str(*columns, separator="\n", ignore_nulls=True)).to_series()
        return np.array(
            [int.from_bytes(blake2b(t.encode(), digest_size=8).digest(), "little") for t in texts], np.uint64
        )

    def as_record(self) -> dict[str, Any]:
        """Return what `add_record` of another tally of the same plan takes, as plain values."""
        return {"counts": _summed(self.counts).rows(), "sums": self._sums}

    def add_record(self, record: dict[str, Any]) -> None:
        """Count in what another tally has added up."""
        self.counts.append(pl.DataFrame(record["counts"], schema=_COUNTS, orient="row"))
        self._sums = [(a + b) % 2**64 for a, b in zip(self._sums, record["sums"], strict=True)]

    @property
    def content_hash(self) -> str:
        """32 hex digits, equal for equal rows."""
        return f"{self._sums[0]:016x}{self._sums[1]:016x}"

    def stats(self) -> dict[str, Any]:
        """Sum the counts up, by the names of labels."""
        taxonomy, labels = self.renderer.plan.pack.taxonomy, self.renderer.labels.with_row_index("site")
        labels = labels.select("site", *(column for column in COUNTED if column in labels.columns)).with_columns(
            pl.col("category").cast(pl.Enum(list(taxonomy.categories))),
            pl.col("complexity").cast(pl.Enum(list(taxonomy.levels))),
            pl.col("domain").cast(pl.Enum(taxonomy.domains)),
            pl.col("expected_model").cast(pl.Enum(taxonomy.models)),
        )
        counts = _summed(self.counts).with_columns(
            pl.col("quality") / 1000,
            origin=pl.lit(pl.Series(ORIGINS)).gather("origin").cast(pl.Enum(ORIGINS)),
            split=pl.lit(pl.Series(SPLITS)).gather("split").cast(pl.Enum(SPLITS)),
        )
        return stats_of(counts.join(labels, on="site", how="left", validate="m:1", maintain_order="left"))


def _summed(counts: list[pl.DataFrame]) -> pl.DataFrame:
    return (
        pl.concat(counts)
        .group_by("site", "origin", "split")
        .agg(pl.sum("rows"), pl.sum("quality"))
        .sort("site", "origin", "split")
    )


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a dataset's manifest; raises OutputError where there is none, so no whole dataset."""
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        entries = [(e["name"] + "", e["bytes"] + 0, e["sha256"] + "") for e in manifest["files"]]
        inside = all((folder / name).resolve().is_relative_to(folder.resolve()) for name, _, _ in entries)
        sound = manifest["pack"]["hash"] and manifest["versions"]["ruvtab"] and manifest["fingerprint"]
        if not (inside and sound and isinstance(manifest["config"], dict)):
            raise ValueError("files outside the folder, or parts missing")
    except FileNotFoundError as error:
        fix = f"so it is not a finished dataset; build it with: ruvtab build {folder}"
        raise OutputError(f"{folder} holds no {MANIFEST}, {fix}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path}: not a manifest: {error!r}; build the dataset again with --overwrite") from error
    return manifest


def file_problem(folder: Path, entry: dict[str, Any]) -> str | None:
    """Say how a file differs from its entry in a manifest; None where it does not."""
    path, name = folder / entry["name"], entry["name"]
    if not path.is_file():
        return f"{name}: is missing"
    if (size := path.stat().st_size) != entry["bytes"]:
        return f"{name}: {size:,} bytes, the manifest says {entry['bytes']:,}"
    digest = sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return None if digest.hexdigest() == entry["sha256"] else f"{name}: its content has changed (sha256 differs)"

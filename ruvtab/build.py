"""The order of the stages: pack, lexicon, plan, chunks, files, manifest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

import ruvtab
from ruvtab import card, check
from ruvtab.config import ORIGINS, SPLITS, DatasetConfig
from ruvtab.draw import U64, mixed
from ruvtab.engine import in_order, n_threads
from ruvtab.errors import ConfigError, OutputError
from ruvtab.lexicon import compiled
from ruvtab.plan import Plan, planned
from ruvtab.render import Chunk, Renderer
from ruvtab.schema import SCHEMA
from ruvtab.stats import COUNTED, stats_of
from ruvtab.write import JsonWriter, Output, ParquetOutput, batches_of_split, data_of

FORMATS = ("jsonl", "json", "parquet")
MANIFEST = "manifest.json"
CHUNK_ROWS = 32_768
PRETTY_LIMIT = 100_000
PREFIX = "claude_training"
_PARTIAL = ".ruvtab-partial"
_SHORT = {"train": "train", "validation": "val", "test": "test"}

Progress = Callable[[int, int], None]


def plan_of(config: DatasetConfig) -> Plan:
    """Read and check the config's pack and lay the config over it.

    Raises PackError with all faults of the pack, CapacityError when it cannot say so much.
    """
    pack = check.load(config.pack)
    return planned(pack, compiled(pack), config)


def fingerprint(plan: Plan) -> str:
    """Name everything that decides the rows: config, pack and version, as 16 hex digits."""
    decides = [plan.config.recorded(), plan.pack.digest, ruvtab.__version__]
    return blake2b(json.dumps(decides, sort_keys=True).encode(), digest_size=8).hexdigest()


def scan(
    config: DatasetConfig | None = None, *, chunk_rows: int = CHUNK_ROWS, threads: int | None = None
) -> pa.RecordBatchReader:
    """Stream the rows of a config as Arrow record batches, in plan order, in bounded memory.

    The reader speaks the Arrow C stream: Polars, DuckDB, pandas and pyarrow take it as it is.
    """
    plan = plan_of(config or DatasetConfig())
    renderer = Renderer(plan)
    batches = in_order(
        lambda i: renderer.batch(_chunk(renderer, i, chunk_rows)), -(-plan.n_rows // chunk_rows), threads or n_threads()
    )
    return pa.RecordBatchReader.from_batches(SCHEMA, batches)


def _chunk(renderer: Renderer, number: int, chunk_rows: int) -> Chunk:
    start = number * chunk_rows
    return renderer.chunk(start, min(start + chunk_rows, renderer.plan.n_rows))


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
            rows.group_by("site", "origin", "split").agg(rows=pl.len().cast(pl.Int64), quality=pl.sum("quality"))
        )
        if len(self.counts) > 64:
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

    @property
    def _labels(self) -> U64:
        if not hasattr(self, "_label_keys"):
            texts = [json.dumps(labels, sort_keys=True).encode() for labels in self.renderer.labels.to_dicts()]
            self._label_keys = np.array(
                [int.from_bytes(blake2b(t, digest_size=8).digest(), "little") for t in texts], np.uint64
            )
        return self._label_keys

    @property
    def content_hash(self) -> str:
        """32 hex digits, equal for equal rows."""
        return f"{self._sums[0]:016x}{self._sums[1]:016x}"

    def stats(self) -> dict[str, Any]:
        """Sum the counts up, by the names of labels."""
        labels = self.renderer.labels.with_row_index("site").select(
            "site", *(c for c in COUNTED if c in self.renderer.labels.columns)
        )
        counts = _summed(self.counts).with_columns(
            pl.col("quality") / 1000,
            origin=pl.lit(pl.Series(ORIGINS)).gather("origin"),
            split=pl.lit(pl.Series(SPLITS)).gather("split"),
        )
        return stats_of(counts.join(labels, on="site", how="left", validate="m:1", maintain_order="left"))


def _summed(counts: list[pl.DataFrame]) -> pl.DataFrame:
    return (
        pl.concat(counts)
        .group_by("site", "origin", "split")
        .agg(pl.sum("rows"), pl.sum("quality"))
        .sort("site", "origin", "split")
    )


def build(
    config: DatasetConfig | None = None,
    out: str | Path = "dataset",
    *,
    formats: Sequence[str] = FORMATS,
    overwrite: bool = False,
    pretty: bool | None = None,
    chunk_rows: int = CHUNK_ROWS,
    threads: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Build a dataset folder and return its manifest.

    Files are made in a partial folder inside `out` and moved into place when all are whole, the manifest last; a build
    that fails or is interrupted leaves what was there before. `pretty` None writes the JSON list up to PRETTY_LIMIT rows.
    `progress` is called with rows done and rows in all. Raises PackError, ConfigError, CapacityError, OutputError.
    """
    if unknown := sorted(set(formats) - set(FORMATS)):
        raise ConfigError(f"unknown format {', '.join(unknown)}; formats are {', '.join(FORMATS)}")
    plan, target = plan_of(config or DatasetConfig()), Path(out)
    mark = fingerprint(plan)
    _refuse_occupied(target, mark, overwrite)
    made = not target.exists()
    partial = target / _PARTIAL
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        (partial / "fingerprint").write_text(mark)
        wanted = [f for f in formats if f != "json" or (plan.n_rows <= PRETTY_LIMIT if pretty is None else pretty)]
        manifest = _written(plan, partial, wanted, mark, chunk_rows, threads or n_threads(), progress)
        _moved(partial, target, manifest)
    except OSError as error:
        raise OutputError(
            f"{target}: cannot be written: {error.strerror or error}; free space or name another folder. {_kept(target)}"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if made and target.is_dir() and not any(target.iterdir()):
            target.rmdir()
    return manifest


def _kept(target: Path) -> str:
    return "The dataset that was there is untouched" if (target / MANIFEST).exists() else "Nothing is left behind"


def _refuse_occupied(target: Path, mark: str, overwrite: bool) -> None:
    if target.exists() and not target.is_dir():
        raise OutputError(f"{target} is a file; name a folder to build into")
    if overwrite or not target.is_dir():
        return
    found = sorted(p.name for p in target.iterdir())
    unfinished = target / _PARTIAL / "fingerprint"
    if found == [_PARTIAL] and unfinished.exists() and unfinished.read_text() == mark:
        return
    if found == [_PARTIAL]:
        raise OutputError(
            f"{target} holds an unfinished build of another config; --overwrite to replace it, or name another folder"
        )
    if found:
        raise OutputError(
            f"{target} is not empty (it holds {', '.join(found[:3])}{', …' * (len(found) > 3)}); --overwrite to replace the dataset in it, or name another folder"
        )


def _written(
    plan: Plan,
    folder: Path,
    formats: Sequence[str],
    mark: str,
    chunk_rows: int,
    threads: int,
    progress: Progress | None,
) -> dict[str, Any]:
    """Write every file of a dataset into a folder; return the manifest, which is not written yet."""
    renderer = Renderer(plan)
    tally = Tally(renderer)
    lines = JsonWriter(renderer) if "jsonl" in formats else None
    pretty = JsonWriter(renderer, indent=2) if "json" in formats else None
    jsonl = (
        [Output(folder / "jsonl" / f"{PREFIX}_{name}.jsonl") for name in ("full", *(_SHORT[s] for s in SPLITS))]
        if lines
        else []
    )
    listed = Output(folder / f"{PREFIX}_full.json") if pretty else None
    parquet = (
        [ParquetOutput(folder / "data" / f"{s}-00000-of-00001.parquet", {"ruvtab.fingerprint": mark}) for s in SPLITS]
        if "parquet" in formats
        else []
    )

    def rendered(
        number: int,
    ) -> tuple[Chunk, list[tuple[Output, pa.StringArray]], list[tuple[ParquetOutput, pa.RecordBatch]]]:
        chunk = _chunk(renderer, number, chunk_rows)
        split = chunk.rows["split"].to_numpy()
        texts: list[tuple[Output, pa.StringArray]] = []
        if lines:
            full = lines.lines(chunk)
            texts = [
                (jsonl[0], full),
                *((output, full.filter(pa.array(split == code))) for code, output in enumerate(jsonl[1:])),
            ]
        if pretty and listed:
            texts.append((listed, pretty.lines(chunk)))
        batches = (
            [(parquet[code], batch) for code, batch in batches_of_split(renderer.batch(chunk), split)]
            if parquet
            else []
        )
        return chunk, texts, batches

    done, n_chunks = 0, -(-plan.n_rows // chunk_rows)
    try:
        if listed:
            listed.write(b"[\n")
        for chunk, texts, batches in in_order(rendered, n_chunks, threads):
            tally.add(chunk)
            done += len(chunk)
            for output, array in texts:
                output.n_rows += len(array)
                data = data_of(array)
                output.write(data[:-2] if output is listed and done == plan.n_rows else data)
            for table, batch in batches:
                table.write(batch)
            if progress:
                progress(done, plan.n_rows)
        if listed:
            listed.write(b"\n]\n")
    finally:
        for closing in (*jsonl, *([listed] if listed else []), *parquet):
            closing.close()
    stats = tally.stats()
    outputs = [*jsonl, *([listed] if listed else []), *(p.output for p in parquet)]
    outputs.append(_text(folder / f"{PREFIX}_stats.json", json.dumps(stats, indent=2, ensure_ascii=False) + "\n"))
    entries = {
        output.path.relative_to(folder).as_posix(): output.entry(output.path.relative_to(folder).as_posix())
        for output in outputs
    }
    readme = _text(folder / "README.md", card.card(plan, stats, entries, mark))
    entries["README.md"] = readme.entry("README.md")
    return {
        "format": "ruvtab.dataset/1",
        "fingerprint": mark,
        "content_hash": tally.content_hash,
        "rows": plan.n_rows,
        "config": plan.config.recorded(),
        "pack": {"name": plan.pack.meta.name, "version": plan.pack.meta.version, "hash": plan.pack.digest},
        "versions": {
            "ruvtab": ruvtab.__version__,
            "polars": pl.__version__,
            "pyarrow": pa.__version__,
            "numpy": np.__version__,
        },
        "stats": stats,
        "files": [entries[name] for name in sorted(entries)],
    }


def _text(path: Path, text: str) -> Output:
    output = Output(path)
    output.write(text.encode())
    output.close()
    return output


def _moved(partial: Path, target: Path, manifest: dict[str, Any]) -> None:
    """Move whole files into place: the old manifest goes first, the new one comes last."""
    _text(partial / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    old = read_manifest(target)["files"] if (target / MANIFEST).exists() else []
    (target / MANIFEST).unlink(missing_ok=True)
    for entry in old:
        (target / entry["name"]).unlink(missing_ok=True)
    for name in [*(entry["name"] for entry in manifest["files"]), MANIFEST]:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (partial / name).replace(target / name)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read a dataset's manifest; raises OutputError where there is none, so no whole dataset."""
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        manifest["files"], manifest["config"]
    except FileNotFoundError as error:
        raise OutputError(
            f"{folder} holds no {MANIFEST}, so it is not a finished dataset; build it with: ruvtab build {folder}"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path}: not a manifest: {error!r}; build the dataset again with --overwrite") from error
    return manifest


def iter_chunks(plan: Plan, numbers: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """Yield single rows of a plan by number, as batches of one."""
    renderer = Renderer(plan)
    for i in numbers:
        yield renderer.batch(renderer.chunk(i, i + 1))

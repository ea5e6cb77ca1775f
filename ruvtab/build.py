"""The order of the stages: pack, lexicon, plan, chunks, files, manifest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

import ruvtab
from ruvtab import card, check
from ruvtab.config import SPLITS, DatasetConfig
from ruvtab.engine import in_order, n_threads
from ruvtab.errors import ConfigError, OutputError
from ruvtab.lexicon import compiled
from ruvtab.manifest import MANIFEST, Tally, fingerprint, read_manifest
from ruvtab.plan import Plan, planned
from ruvtab.render import Chunk, Renderer
from ruvtab.schema import SCHEMA
from ruvtab.write import JsonWriter, Output, ParquetOutput, batches_of_split, data_of

FORMATS = ("jsonl", "json", "parquet")
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

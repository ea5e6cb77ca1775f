"""The order of the stages: pack, lexicon, plan, chunks, files, manifest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

import ruvtab
from ruvtab import card
from ruvtab.config import SPLITS, DatasetConfig
from ruvtab.engine import in_order, n_threads
from ruvtab.errors import ConfigError, OutputError
from ruvtab.manifest import MANIFEST, Tally, fingerprint, read_manifest
from ruvtab.plan import Plan, planned
from ruvtab.prepare import prepared
from ruvtab.render import Chunk, Renderer
from ruvtab.schema import SCHEMA, numbers
from ruvtab.write import LIST_SEPARATOR, JsonWriter, Output, ParquetOutput, data_of

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
    return planned(*prepared(config.pack), config)


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
    that fails or is interrupted leaves what was there before. `pretty` None writes the JSON list up to PRETTY_LIMIT
    rows. `progress` is called with rows done and rows in all.

    Raises PackError, ConfigError, CapacityError and OutputError.
    """
    if (unknown := sorted(set(formats) - set(FORMATS))) or not formats:
        raise ConfigError(f"unknown format {', '.join(unknown) or 'none'}; formats are {', '.join(FORMATS)}")
    plan, target = plan_of(config or DatasetConfig()), Path(out)
    mark = fingerprint(plan)
    _refuse_occupied(target, mark, overwrite)
    wanted = [f for f in formats if f != "json" or (plan.n_rows <= PRETTY_LIMIT if pretty is None else pretty)]
    made, partial = not target.exists(), target / _PARTIAL
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        (partial / "fingerprint").write_text(mark)
        renderer = Renderer(plan)
        files = _Files(renderer, partial, wanted, mark)
        with closing(files):
            tally = _rendered(renderer, files, chunk_rows, threads or n_threads(), progress)
        manifest = _described(plan, partial, files.entries(), tally, mark)
        _moved(partial, target, manifest)
    except OSError as error:
        left = "the dataset that was there is untouched" if (target / MANIFEST).exists() else "nothing is left behind"
        why = error.strerror or error
        raise OutputError(f"{target}: cannot be written: {why}; {left}. Free space, or name another folder") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if made and target.is_dir() and not any(target.iterdir()):
            target.rmdir()
    return manifest


def _refuse_occupied(target: Path, mark: str, overwrite: bool) -> None:
    try:
        found = sorted(p.name for p in target.iterdir()) if target.exists() else []
        unfinished = target / _PARTIAL / "fingerprint"
        same = _PARTIAL in found and unfinished.exists() and unfinished.read_text() == mark
    except NotADirectoryError:
        raise OutputError(f"{target} is a file; name a folder to build into") from None
    except OSError as error:
        raise OutputError(f"{target}: cannot be used: {error.strerror or error}; name another folder") from error
    if found and not overwrite and not (same and MANIFEST not in found):
        what = "an unfinished build of another config" if found == [_PARTIAL] else ", ".join(found[:3])
        more = ", …" if len(found) > 3 else ""
        fix = "--overwrite replaces the dataset in it; or name another folder"
        raise OutputError(f"{target} is not empty, it holds {what}{more}: {fix}")


class _Files:
    """The data files of a dataset while they are written: JSON lines in full and per split, a JSON list, Parquet."""

    def __init__(self, renderer: Renderer, folder: Path, formats: Sequence[str], mark: str) -> None:
        self.folder, self.renderer = folder, renderer
        self.compact = JsonWriter(renderer) if "jsonl" in formats else None
        self.indented = JsonWriter(renderer, indent=2) if "json" in formats else None
        names = ("full", *(_SHORT[split] for split in SPLITS)) if self.compact else ()
        self.lines = [Output(folder / "jsonl" / f"{PREFIX}_{name}.jsonl") for name in names]
        self.lists = [Output(folder / f"{PREFIX}_full.json")] if self.indented else []
        tables = [folder / "data" / f"{split}-00000-of-00001.parquet" for split in SPLITS if "parquet" in formats]
        self.tables = [ParquetOutput(path, {"ruvtab.fingerprint": mark}) for path in tables]
        for output in self.lists:
            output.write(b"[\n")

    def made_of(self, chunk: Chunk) -> tuple[list[tuple[Output, pa.StringArray]], list[tuple[ParquetOutput, pa.Table]]]:
        """Turn a chunk into what each file gets of it; runs on any thread."""
        split = chunk.rows["split"].to_numpy()
        places = [numbers(np.flatnonzero(split == code)) for code in range(len(SPLITS))]
        texts: list[tuple[Output, pa.StringArray]] = []
        if self.compact:
            full = self.compact.lines(chunk)
            parts = (full.take(rows) for rows in places)
            texts = list(zip(self.lines, (full, *parts), strict=True))
        if self.indented:
            texts.append((self.lists[0], self.indented.lines(chunk)))
        if not self.tables:
            return texts, []
        batch = self.renderer.encoded(chunk)
        return texts, [(table, batch.take(rows)) for table, rows in zip(self.tables, places, strict=True)]

    def write(
        self, made: tuple[list[tuple[Output, pa.StringArray]], list[tuple[ParquetOutput, pa.RecordBatch]]], last: bool
    ) -> None:
        """Append what was made of a chunk, in plan order; `last` ends the JSON list."""
        for output, array in made[0]:
            output.n_rows += len(array)
            data = data_of(array)
            output.write(data[: -len(LIST_SEPARATOR)] if last and output in self.lists else data)
        for table, batch in made[1]:
            table.write(batch)
        if last:
            for output in self.lists:
                output.write(b"\n]\n")

    def close(self) -> None:
        """Close every file; Parquet files get their footers."""
        for output in (*self.lines, *self.lists):
            output.close()
        for table in self.tables:
            table.close()

    def entries(self) -> dict[str, dict[str, Any]]:
        """Describe every file for the manifest."""
        outputs = [*self.lines, *self.lists, *(table.output for table in self.tables)]
        return {name: o.entry(name) for o in outputs if (name := o.path.relative_to(self.folder).as_posix())}


def _rendered(renderer: Renderer, files: _Files, chunk_rows: int, threads: int, progress: Progress | None) -> Tally:
    """Render every row into the files: chunks on threads, written in order."""
    tally, done, n_rows = Tally(renderer), 0, renderer.plan.n_rows

    def work(number: int) -> tuple[Chunk, Any]:
        chunk = _chunk(renderer, number, chunk_rows)
        return chunk, files.made_of(chunk)

    for chunk, made in in_order(work, -(-n_rows // chunk_rows), threads):
        tally.add(chunk)
        done += len(chunk)
        files.write(made, last=done == n_rows)
        if progress:
            progress(done, n_rows)
    return tally


def _described(plan: Plan, folder: Path, entries: dict[str, dict[str, Any]], tally: Tally, mark: str) -> dict[str, Any]:
    """Write stats and card, and return the manifest, which is not written yet."""
    stats = tally.stats()
    name = f"{PREFIX}_stats.json"
    entries = entries | {name: _text(folder / name, json.dumps(stats, indent=2, ensure_ascii=False) + "\n")}
    entries["README.md"] = _text(folder / "README.md", card.card(plan, stats, entries, mark))
    meta = plan.pack.meta
    return {
        "format": "ruvtab.dataset/1",
        "fingerprint": mark,
        "content_hash": tally.content_hash,
        "rows": plan.n_rows,
        "config": plan.config.recorded(),
        "pack": {"name": meta.name, "version": meta.version, "hash": plan.pack.digest},
        "versions": {lib.__name__: lib.__version__ for lib in (ruvtab, pl, pa, np)},
        "stats": stats,
        "files": [entries[name] for name in sorted(entries)],
    }


def _text(path: Path, text: str) -> dict[str, Any]:
    output = Output(path)
    output.write(text.encode())
    output.close()
    return output.entry(path.name)


def _moved(partial: Path, target: Path, manifest: dict[str, Any]) -> None:
    """Move whole files into place, the new manifest last; if a move fails, what was there before is put back."""
    _text(partial / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    new = [*(entry["name"] for entry in manifest["files"]), MANIFEST]
    aside, moved = partial / "before", list[Path]()
    try:
        for name in [MANIFEST, *_old_files(target), *new]:
            if (target / name).is_file() and not (aside / name).exists():
                _rename(target / name, aside / name)
        for name in new:
            _rename(partial / name, target / name)
            moved.append(target / name)
    except BaseException:
        for path in moved:
            path.unlink(missing_ok=True)
        for path in sorted(p for p in aside.rglob("*") if p.is_file()):
            _rename(path, target / path.relative_to(aside))
        raise


def _rename(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)


def _old_files(target: Path) -> list[str]:
    """Name the files of the dataset that is in a folder, as far as its manifest can be read; none from outside it."""
    try:
        names = [entry["name"] for entry in read_manifest(target)["files"]] if (target / MANIFEST).exists() else []
    except OutputError:
        return []
    return [name for name in names if (target / name).resolve().is_relative_to(target.resolve())]

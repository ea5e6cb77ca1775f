"""Shards: rows [start, stop) of a plan as files of their own, and a record of what they hold, written last."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ruvtab.config import SPLITS
from ruvtab.engine import in_order
from ruvtab.errors import ConfigError
from ruvtab.manifest import Tally, file_problem
from ruvtab.render import Chunk, Renderer
from ruvtab.schema import numbers
from ruvtab.write import LIST_SEPARATOR, JsonWriter, Output, ParquetOutput, data_of

FORMATS = ("jsonl", "json", "parquet")
PREFIX = "claude_training"
CHUNK_ROWS = 32_768
PRETTY_LIMIT = 100_000
# 130 to 190 MB of Parquet for the train rows of one shard
SHARD_ROWS = 2_000_000
_RECORDS = "shards"
_SHORT = {"train": "train", "validation": "val", "test": "test"}

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Layout:
    """How the rows of a plan lie in files; nothing of it changes a row. Raises ConfigError where it cannot be."""

    n_rows: int
    formats: tuple[str, ...] = FORMATS
    shard_rows: int = SHARD_ROWS
    compress: bool = False

    def __post_init__(self) -> None:
        if (unknown := sorted(set(self.formats) - set(FORMATS))) or not self.formats:
            raise ConfigError(f"unknown format {', '.join(unknown) or 'none'}; formats are {', '.join(FORMATS)}")
        if self.shard_rows < 1:
            raise ConfigError(f"a shard needs at least 1 row, found {self.shard_rows}")
        if self.n_shards > 99_999:
            raise ConfigError(f"{self.n_shards:,} shards are too many; raise the rows per shard of {self.shard_rows:,}")
        if "json" in self.formats and self.n_shards > 1:
            raise ConfigError("a pretty JSON list is one file and cannot be sharded; leave json out of the formats")

    @property
    def n_shards(self) -> int:
        """Number of shards, at least 1."""
        return max(1, -(-self.n_rows // self.shard_rows))

    def rows_of(self, shard: int) -> tuple[int, int]:
        """Return the first row of a shard and the one behind its last."""
        return shard * self.shard_rows, min((shard + 1) * self.shard_rows, self.n_rows)

    def jsonl(self, part: str, shard: int) -> str:
        """Name the JSONL file of a part, `full` or a split's short name; one shard alone bears no number."""
        numbered = f"-{shard:05d}-of-{self.n_shards:05d}" if self.n_shards > 1 else ""
        return f"jsonl/{PREFIX}_{part}{numbered}.jsonl" + (".zst" if self.compress else "")

    def parquet(self, split: str, shard: int) -> str:
        """Name the Parquet file of a split."""
        return f"data/{split}-{shard:05d}-of-{self.n_shards:05d}.parquet"

    def names(self, shard: int) -> list[str]:
        """Name every file of a shard."""
        lines = [self.jsonl(part, shard) for part in ("full", *_SHORT.values()) if "jsonl" in self.formats]
        lists = [f"{PREFIX}_full.json"] if "json" in self.formats else []
        return [*lines, *lists, *(self.parquet(split, shard) for split in SPLITS if "parquet" in self.formats)]

    def recorded(self) -> dict[str, Any]:
        """Return what decides the files, besides the rows, as plain values."""
        return {"formats": sorted(self.formats), "shard_rows": self.shard_rows, "compress": self.compress}


def layout_of(n_rows: int, formats: Sequence[str], pretty: bool | None, shard_rows: int, compress: bool) -> Layout:
    """Lay rows out; of the formats, the pretty JSON list is left out where it is not alone and too long to be read."""
    small = n_rows <= PRETTY_LIMIT or set(formats) == {"json"}
    listed = small if pretty is None else pretty
    return Layout(n_rows, tuple(f for f in formats if f != "json" or listed), shard_rows, compress)


class _Files:
    """The files of one shard while they are written: JSON lines in full and per split, a JSON list, Parquet."""

    def __init__(self, renderer: Renderer, layout: Layout, shard: int, folder: Path, mark: str) -> None:
        self.folder, self.renderer = folder, renderer
        self.compact = JsonWriter(renderer) if "jsonl" in layout.formats else None
        self.indented = JsonWriter(renderer, indent=2) if "json" in layout.formats else None
        parts = ("full", *(_SHORT[split] for split in SPLITS)) if self.compact else ()
        self.lines = [Output(folder / layout.jsonl(part, shard), compress=layout.compress) for part in parts]
        self.lists = [Output(folder / f"{PREFIX}_full.json")] if self.indented else []
        tables = [folder / layout.parquet(split, shard) for split in SPLITS if "parquet" in layout.formats]
        self.tables = [ParquetOutput(path, {"ruvtab.fingerprint": mark}) for path in tables]
        for output in self.lists:
            output.write(b"[\n")

    def made_of(
        self, chunk: Chunk
    ) -> tuple[list[tuple[Output, pa.StringArray]], list[tuple[ParquetOutput, pa.RecordBatch]]]:
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

    def entries(self) -> list[dict[str, Any]]:
        """Describe every file for the manifest."""
        outputs = [*self.lines, *self.lists, *(table.output for table in self.tables)]
        return [output.entry(output.path.relative_to(self.folder).as_posix()) for output in outputs]


def write_shard(
    renderer: Renderer,
    layout: Layout,
    shard: int,
    folder: Path,
    mark: str,
    *,
    threads: int,
    chunk_rows: int = CHUNK_ROWS,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Render a shard's rows into its files below a folder and return its record; `progress` is called with rows made.

    Chunks are rendered on threads and written in order. A shard whose record is not there is not whole.
    """
    start, stop = layout.rows_of(shard)
    tally, done = Tally(renderer), start
    files = _Files(renderer, layout, shard, folder, mark)

    def work(number: int) -> tuple[Chunk, Any]:
        first = start + number * chunk_rows
        chunk = renderer.chunk(first, min(first + chunk_rows, stop))
        return chunk, files.made_of(chunk)

    with closing(files):
        for chunk, made in in_order(work, -(-(stop - start) // chunk_rows), threads):
            tally.add(chunk)
            done += len(chunk)
            files.write(made, last=done == stop)
            if progress:
                progress(len(chunk))
    record = {"shard": shard, "files": files.entries()} | tally.as_record()
    path = folder / record_path(shard)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record), encoding="utf-8")
    part.replace(path)
    return record


def record_of(folder: Path, shard: int) -> dict[str, Any] | None:
    """Read the record of a shard below a folder; None where it is not there or its files are not as recorded."""
    try:
        record: dict[str, Any] = json.loads((folder / record_path(shard)).read_text(encoding="utf-8"))
        whole = not any(file_problem(folder, entry) for entry in record["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if whole else None


def is_recorded(folder: Path, shard: int) -> bool:
    """Whether a shard has a record, its files unseen."""
    return (folder / record_path(shard)).exists()


def record_path(shard: int) -> str:
    """Name the record of a shard, below the partial folder."""
    return f"{_RECORDS}/{shard:05d}.json"

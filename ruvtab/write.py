"""Chunks to bytes and files: JSON lines, pretty JSON, Parquet. Every file is written under another name and renamed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import accumulate, chain, product
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ruvtab.config import ORIGINS, SPLITS
from ruvtab.render import Chunk, Renderer, Text, hex_digits
from ruvtab.schema import ENCODED, ENCODED_COLUMNS, JSON_ORDER, LABELS, METADATA, numbers, texts

ROW_GROUP = 32_768
LIST_SEPARATOR = b",\n"
_HOLES = ("input", "context", "quality_score", "id", "group_id", "origin", "split")


class JsonWriter:
    """Turns chunks into JSON text by one gather of ready-made fragments; its bytes are those of `json.dumps`.

    `indent` None writes one compact object per line; a number writes the objects of a pretty list without its brackets,
    each with LIST_SEPARATOR behind it.
    """

    def __init__(self, renderer: Renderer, indent: int | None = None) -> None:
        sites = renderer.labels.fill_null("").select(
            pl.struct("output_agent", *LABELS).rank("dense").alias("head") - 1,
            pl.col("family").rank("dense").alias("tail") - 1,
            pl.struct(pl.all()).alias("labels"),
        )
        self._head, self._tail = sites["head"].to_numpy().astype(np.int64), sites["tail"].to_numpy().astype(np.int64)
        heads, tails = (
            [_skeleton(labels, indent) for labels in sites.unique(part, keep="first").sort(part)["labels"].to_list()]
            for part in ("head", "tail")
        )
        opening, between, _, _, to_group, to_origin, to_split, _ = heads[0]
        fixed = {
            "opening": [opening],
            "between": [between],
            "head": [parts[2] for parts in heads],
            "quality": [repr(q / 1000) for q in range(1001)],
            "tail": [parts[3] for parts in tails],
            "to_group": [to_group],
            "origin": [f"{to_origin}{o}{to_split}{s}" for o, s in product(ORIGINS, SPLITS)],
            "end": [parts[-1] for parts in tails],
            "ids": [],
        }
        pool = renderer.json_pool
        ends = accumulate(map(len, fixed.values()), initial=len(pool))
        self._first = dict(zip(fixed, ends, strict=False))
        self._pools = (pool, texts(chain(*fixed.values())))

    def lines(self, chunk: Chunk) -> pa.StringArray:
        """Write one text per row, each with its separator behind it."""
        first, rows, n = self._first, chunk.rows, len(chunk)
        head, tail = self._head[rows["site"].to_numpy()], self._tail[rows["site"].to_numpy()]
        label = rows["origin"].to_numpy().astype(np.int64) * len(SPLITS) + rows["split"].to_numpy()
        behind = np.column_stack(
            [
                first["head"] + head,
                first["quality"] + rows["quality"].to_numpy(),
                first["tail"] + tail,
                first["ids"] + np.arange(n),
                np.full(n, first["to_group"]),
                first["ids"] + np.arange(n, 2 * n),
                first["origin"] + label,
                first["end"] + tail,
            ]
        ).astype(np.uint32)
        n_text = chunk.input.per_row + chunk.context.per_row
        ends = np.cumsum(n_text + 2 + behind.shape[1])
        starts = ends - (n_text + 2 + behind.shape[1])
        fragments = np.empty(ends[-1] if n else 0, np.uint32)
        fragments[starts] = first["opening"]
        _place(fragments, starts + 1, chunk.input)
        fragments[starts + 1 + chunk.input.per_row] = first["between"]
        _place(fragments, starts + 2 + chunk.input.per_row, chunk.context)
        fragments[(starts + 2 + n_text)[:, None] + np.arange(behind.shape[1])] = behind
        ids = (hex_digits(values) for values in (chunk.ids, rows["group"].to_numpy()))
        _, offsets, data = pa.concat_arrays([*self._pools, *ids]).take(numbers(fragments)).buffers()
        return pa.StringArray.from_buffers(
            n, pa.py_buffer(np.frombuffer(offsets, np.int32)[np.concatenate(([0], ends))]), data
        )


def record(row: dict[str, Any]) -> dict[str, Any]:
    """Nest a flat row as a JSON line has it."""
    return {key: {k: row[k] for k in METADATA} if key == "metadata" else row[key] for key in JSON_ORDER}


def data_of(lines: pa.StringArray) -> memoryview:
    """Return the bytes of an array of texts as they lie one behind the other."""
    _, offsets, data = lines.buffers()
    ends = np.frombuffer(offsets, np.int32)
    return memoryview(data)[ends[lines.offset] : ends[lines.offset + len(lines)]]


def _skeleton(labels: dict[str, Any], indent: int | None) -> list[str]:
    """Write a row as JSON with holes, cut at the holes."""
    row = labels | {hole: f"@@{hole}@@" for hole in _HOLES}
    if indent is None:
        text = json.dumps(record(row), ensure_ascii=False, separators=(",", ":")) + "\n"
    else:
        text = json.dumps([record(row)], ensure_ascii=False, indent=indent)[2:-2] + LIST_SEPARATOR.decode()
    text = text.replace('"@@quality_score@@"', "@@quality_score@@")
    parts = []
    for hole in _HOLES:
        before, text = text.split(f"@@{hole}@@", 1)
        parts.append(before)
    return [*parts, text]


def _place(fragments: npt.NDArray[np.uint32], starts: npt.NDArray[np.int64], text: Text) -> None:
    before = np.cumsum(text.per_row) - text.per_row
    fragments[np.repeat(starts - before, text.per_row) + np.arange(len(text.fragments))] = text.fragments


class _Sink:
    """What pyarrow's compressor writes to."""

    closed = False

    def __init__(self, write: Callable[[bytes], int]) -> None:
        self.write = write

    def flush(self) -> None:
        """Do nothing: bytes are not held back."""

    def close(self) -> None:
        """Do nothing: the file is closed by whom it belongs to."""


@dataclass
class Output:
    """A file being written: counts rows and bytes and hashes as it goes."""

    path: Path
    n_rows: int = 0
    n_bytes: int = 0
    compress: bool = False
    _stream: BinaryIO = field(init=False, repr=False)
    _hash: Any = field(init=False, repr=False)
    _zstd: Any = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self.path.open("wb", buffering=0)
        self._hash = sha256()
        if self.compress:
            self._zstd = pa.CompressedOutputStream(pa.PythonFile(_Sink(self._append), mode="w"), "zstd")

    def write(self, data: bytes | memoryview) -> int:
        """Append bytes, all of them."""
        if self._zstd is not None:
            return int(self._zstd.write(data))
        return self._append(data)

    def _append(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast("B")
        self._hash.update(view)
        self.n_bytes += len(view)
        left = view
        while len(left):
            left = left[self._stream.write(left) :]
        return len(view)

    def tell(self) -> int:
        """Return the position, as pyarrow's file protocol wants it."""
        return self.n_bytes

    def flush(self) -> None:
        """Do nothing: bytes are not held back."""

    @property
    def closed(self) -> bool:
        """Whether the file is closed."""
        return self._stream.closed

    def readable(self) -> bool:
        """Say no, as pyarrow's file protocol wants it."""
        return False

    def writable(self) -> bool:
        """Say yes, as pyarrow's file protocol wants it."""
        return True

    def seekable(self) -> bool:
        """Say no, as pyarrow's file protocol wants it."""
        return False

    def close(self) -> None:
        """Close the file."""
        if self._zstd is not None and not self._stream.closed:
            self._zstd.close()
        self._stream.close()

    def entry(self, name: str) -> dict[str, Any]:
        """Describe the file for the manifest."""
        return {"name": name, "rows": self.n_rows, "bytes": self.n_bytes, "sha256": self._hash.hexdigest()}


class ParquetOutput:
    """One Parquet file with row groups of exactly ROW_GROUP rows, whatever the sizes of what is given to it."""

    def __init__(self, path: Path, metadata: dict[str, str]) -> None:
        self.output = Output(path)
        # without the Arrow schema in the file, readers see the dictionaries as the plain strings that they stand for
        self._writer = pq.ParquetWriter(
            self.output,
            ENCODED.with_metadata(metadata),
            compression="zstd",
            compression_level=1,
            use_dictionary=list(ENCODED_COLUMNS),
            write_statistics=list(ENCODED_COLUMNS),
            store_schema=False,
        )
        self._held: list[pa.RecordBatch] = []
        self._n_held = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Take rows; they are written when a row group is full."""
        self._held.append(batch)
        self._n_held += len(batch)
        self.output.n_rows += len(batch)
        while self._n_held >= ROW_GROUP:
            self._flush(ROW_GROUP)

    def _flush(self, n: int) -> None:
        table = pa.Table.from_batches(self._held, ENCODED)
        self._writer.write_table(
            table.slice(0, n).combine_chunks().replace_schema_metadata(self._writer.schema.metadata), row_group_size=n
        )
        self._held = table.slice(n).to_batches()
        self._n_held -= n

    def close(self) -> None:
        """Write what is held and the footer."""
        if self._n_held:
            self._flush(self._n_held)
        self._writer.close()
        self.output.close()

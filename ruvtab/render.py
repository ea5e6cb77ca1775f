"""Integers to text and labels. A row's text is a gather of fragments from one pool and one concatenation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ruvtab.config import ORIGINS, SPLITS
from ruvtab.draw import U64, mixed
from ruvtab.pack import Pack
from ruvtab.phrase import I64, U32, Phraser
from ruvtab.plan import Plan
from ruvtab.schema import ENCODED, LABEL, SCHEMA, numbers, texts

_BASE = np.uint64(0x5851F42D4C957F2D)
_SEPARATOR = "\x1f"
_HASHED_AT_ONCE = 4096
_u = np.uint64


@dataclass(frozen=True)
class Text:
    """One text per row, still in fragments: pool numbers row by row, and fragments per row."""

    fragments: U32
    per_row: I64


@dataclass(frozen=True)
class Chunk:
    """Some rows of a plan: the plan's integers with site and quality (thousandths), the two texts, and row ids."""

    rows: pl.DataFrame
    input: Text
    context: Text
    ids: U64

    def __len__(self) -> int:
        return len(self.rows)


class Renderer:
    """Renders any rows of a plan; holds what all chunks share."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        lexicon = plan.lexicon
        self.pool = lexicon.pool
        self._n_bytes, self._hashes = _hashes(self.pool)
        self._powers = _powers(4096)
        self._phraser = Phraser(plan)
        columns = [np.ascontiguousarray(lexicon.positions[:, i]) for i in range(4)]
        self._lane, self._positions = columns[1].astype(np.int64), (columns[0], columns[2], columns[3])
        self._facts = lexicon.sites["facts"].fill_null(0).cast(pl.Int64).to_numpy()
        self._quality = np.round(lexicon.sites["quality"].fill_null(0).to_numpy() * 1000).astype(np.int64)
        self._range = _quality_ranges(plan.pack)

    @cached_property
    def json_pool(self) -> pa.StringArray:
        """The pool as its texts stand inside JSON quotes; few need a change."""
        marked = pc.match_substring_regex(self.pool, r'["\\\x00-\x1f]')
        changed = [json.dumps(text, ensure_ascii=False)[1:-1] for text in self.pool.filter(marked).to_pylist()]
        return pc.replace_with_mask(self.pool, marked, texts(changed))

    @cached_property
    def labels(self) -> pl.DataFrame:
        """One row per site: family, language, output_agent and the labels that all its rows share."""
        pack, taxonomy = self.plan.pack, self.plan.pack.taxonomy
        levels = pl.DataFrame({"complexity": list(taxonomy.levels)})
        cells = self.plan.lexicon.cells.select("category", "domain", "family").with_columns(
            pl.lit(pl.Series(list(taxonomy.categories))).gather("category").alias("category"),
            pl.lit(pl.Series(taxonomy.domains)).gather("domain").alias("domain"),
            pl.lit(pack.families["id"]).gather("family").alias("family"),
            pl.lit(pack.families["tags"]).gather("family").alias("tags"),
            pl.lit(pack.meta.language).alias("language"),
        )
        return cells.join(levels, how="cross", maintain_order="left_right").join(
            taxonomy.routing, on=["category", "complexity"], how="left", validate="m:1", maintain_order="left"
        )

    def chunk(self, start: int, stop: int) -> Chunk:
        """Render rows [start, stop) into fragments, quality and ids."""
        rows = self.plan.rows(start, stop)
        n_levels = len(self.plan.pack.taxonomy.levels)
        rows = rows.with_columns(site=pl.col("cell") * n_levels + pl.col("level"))
        said = self._phraser.phrased(rows)
        both = self._gathered(said.lanes, said.input), self._gathered(said.lanes, said.context)
        site, origin = rows["site"].to_numpy(), rows["origin"].to_numpy()
        scored = rows.with_columns(pl.Series("quality", self._scored(site, origin, said.facts)))
        return Chunk(scored, *both, self._ids(*both))

    def batch(self, chunk: Chunk) -> pa.RecordBatch:
        """Make the Arrow batch of a chunk, in the columns and types of schema.SCHEMA."""
        encoded = self.encoded(chunk)
        plain = (c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for c in encoded.columns)
        return pa.RecordBatch.from_arrays(list(plain), schema=SCHEMA)

    def encoded(self, chunk: Chunk) -> pa.RecordBatch:
        """Make the Arrow batch of a chunk with labels as dictionaries: schema.ENCODED."""
        site = numbers(chunk.rows["site"].to_numpy())
        columns = {name: values.take(site) for name, values in self._label_arrays.items()}
        columns |= {
            "id": hex_digits(chunk.ids),
            "group_id": hex_digits(chunk.rows["group"].to_numpy()),
            "origin": _named(ORIGINS, chunk.rows["origin"]),
            "split": _named(SPLITS, chunk.rows["split"]),
            "input": self._joined(chunk.input),
            "context": self._joined(chunk.context),
            "quality_score": numbers((chunk.rows["quality"].to_numpy() / 1000).astype(np.float32)),
        }
        return pa.RecordBatch.from_arrays([columns[name] for name in ENCODED.names], schema=ENCODED)

    @cached_property
    def _label_arrays(self) -> dict[str, pa.Array]:
        table = self.labels.to_arrow()
        plain = {name: table[name].combine_chunks().cast(SCHEMA.field(name).type) for name in table.column_names}
        return {name: a if name == "tags" else a.dictionary_encode().cast(LABEL) for name, a in plain.items()}

    def _gathered(self, lanes: U32, spans: list[tuple[I64, I64]]) -> Text:
        """Turn the positions of each row's forms, one form after the other, into pool numbers."""
        counts = np.stack([n for _, n in spans], axis=1)
        firsts = np.stack([first for first, _ in spans], axis=1)
        flat, per_row, n_rows = counts.ravel(), counts.sum(axis=1), lanes.shape[1]
        ends = np.cumsum(flat)
        position = np.repeat(firsts.ravel() - (ends - flat), flat)
        position += np.arange(len(position))
        base, stride, radix = (column.take(position) for column in self._positions)
        lane = self._lane.take(position)
        lane *= n_rows
        lane += np.repeat(np.arange(n_rows), per_row)
        fragments = lanes.ravel().take(lane)
        fragments //= stride
        fragments %= radix
        fragments += base
        return Text(fragments, per_row)

    def _scored(self, site: I64, origin: npt.NDArray[np.uint8], facts: I64) -> I64:
        """Score quality in thousandths: the template's, or for origins with a range, where the phrasing's facts put it.

        Category ranges hold, but a category's floor never lifts a row above its origin's ceiling.
        """
        category = self.plan.lexicon.cells["category"].to_numpy()[site // len(self.plan.pack.taxonomy.levels)]
        low, high = self._range.by_origin[origin, 0], self._range.by_origin[origin, 1]
        fullness = facts * 1000 // np.maximum(self._facts[site], 1)
        ranged = low + (high - low) * fullness // 1000
        floor, ceiling = self._range.by_category[category, 0], self._range.by_category[category, 1]
        return np.where(low < 0, self._quality[site], np.minimum(np.clip(ranged, floor, ceiling), high))

    def _joined(self, text: Text) -> pa.StringArray:
        """Concatenate each row's fragments: one take, whose data is the column's data."""
        taken = self.pool.take(numbers(text.fragments))
        _, offsets, data = taken.buffers()
        ends = np.frombuffer(offsets, np.int32)[np.concatenate(([0], np.cumsum(text.per_row)))]
        return pa.StringArray.from_buffers(len(text.per_row), pa.py_buffer(np.ascontiguousarray(ends)), data)

    def _ids(self, first: Text, second: Text) -> U64:
        """Hash each row's texts: a polynomial of the UTF-8 bytes of `input`, a separator and `context`, scrambled."""
        lengths = [self._lengths(text) for text in (first, second)]
        longest = int((lengths[0] + lengths[1]).max(initial=0)) + 1
        powers = self._powers if longest < len(self._powers) else _powers(longest)
        ahead = self._hashed(first, lengths[0] + lengths[1] + 1, powers)
        behind = self._hashed(second, lengths[1], powers)
        return mixed(ahead + _u(_hash(_SEPARATOR.encode())) * powers[lengths[1]] + behind)

    def _lengths(self, text: Text) -> I64:
        """Count the bytes of each row's text."""
        upto = np.concatenate((np.zeros(1, np.int64), np.cumsum(self._n_bytes[text.fragments])))
        return np.diff(upto[np.cumsum(text.per_row)], prepend=0)

    def _hashed(self, text: Text, before_end: I64, powers: U64) -> U64:
        """Hash each row's text as it stands when it begins `before_end` bytes before the end."""
        n_bytes = self._n_bytes[text.fragments]
        row_ends = np.cumsum(text.per_row)
        upto = np.concatenate((np.zeros(1, np.int64), np.cumsum(n_bytes)))
        distance = np.repeat(before_end + upto[row_ends - text.per_row], text.per_row) - upto[1:]
        terms = np.cumsum(self._hashes[text.fragments] * powers[distance], dtype=_u)
        return np.diff(np.concatenate((np.zeros(1, _u), terms))[row_ends], prepend=_u(0))


def row_id(input_text: str, context: str) -> str:
    """Compute the id of a row from its texts: 16 hex digits, the same in every build, pack and version."""
    value = _hash(f"{input_text}{_SEPARATOR}{context}".encode())
    return f"{int(mixed(np.array([value], _u))[0]):016x}"


@dataclass(frozen=True)
class _Ranges:
    by_origin: npt.NDArray[np.int64]
    by_category: npt.NDArray[np.int64]


def _quality_ranges(pack: Pack) -> _Ranges:
    origins = [pack.meta.quality.get(origin, (-1, -1)) for origin in ORIGINS]
    categories = [c.quality for c in pack.taxonomy.categories.values()]
    return _Ranges(*(np.round(np.array(bounds) * 1000).astype(np.int64) for bounds in (origins, categories)))


def _hash(text: bytes) -> int:
    total, base = 0, int(_BASE)
    for byte in text:
        total = (total * base + byte + 1) % 2**64
    return total


def _hashes(pool: pa.StringArray) -> tuple[I64, U64]:
    """Return the bytes and the hash of every text: `_hash` of many at once."""
    _, offsets, data = pool.buffers()
    ends = np.frombuffer(offsets, np.int32)[: len(pool) + 1].astype(np.int64)
    n_bytes, hashes = np.diff(ends), np.zeros(len(pool), _u)
    text, powers = np.frombuffer(data, np.uint8), _powers(int(n_bytes.max(initial=0)))
    for first in range(0, len(pool), _HASHED_AT_ONCE):
        at = ends[first : first + _HASHED_AT_ONCE + 1]
        behind = np.repeat(at[1:], np.diff(at)) - np.arange(at[0], at[-1]) - 1
        terms = (text[at[0] : at[-1]].astype(_u) + _u(1)) * powers[behind]
        upto = np.concatenate((np.zeros(1, _u), np.cumsum(terms, dtype=_u)))[at - at[0]]
        hashes[first : first + _HASHED_AT_ONCE] = np.diff(upto)
    return n_bytes, hashes


def _powers(n: int) -> U64:
    return np.concatenate((np.ones(1, _u), np.cumprod(np.full(n, _BASE), dtype=_u)))


def _named(names: tuple[str, ...], codes: pl.Series) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(numbers(codes.to_numpy().astype(np.int32)), texts(names))


# the two hex digits of every byte, as they lie in memory
_DIGITS = np.frombuffer(b"".join(b"%02x" % byte for byte in range(256)), np.uint16)


def hex_digits(values: U64) -> pa.StringArray:
    """Write 64-bit numbers as 16 hex digits."""
    digits = _DIGITS[values.astype(">u8").view(np.uint8)]
    ends = np.arange(0, 16 * len(values) + 1, 16, dtype=np.int32)
    return pa.StringArray.from_buffers(len(values), pa.py_buffer(ends), pa.py_buffer(digits))

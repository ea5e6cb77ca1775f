"""Texts as hashed words and pieces of words, the same on every machine, without a vocabulary to keep.

A substring's hash is a difference of two prefix sums (Karp and Rabin 1987).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from ruvtab.draw import U64, mixed

WORD_BITS, PIECE_BITS = 18, 18
N_FEATURES = (1 << WORD_BITS) + (1 << PIECE_BITS)
PIECE_SIZES = (2, 3, 4, 5)
_CHUNK_BYTES = 1 << 20
_BASE = 0x9E3779B97F4A7C15 | 1
_SPACE = 32

Ints = npt.NDArray[np.int64]


class Counts(NamedTuple):
    """How often each feature stands in each text: `row` ascending, feature in [0, N_FEATURES), times."""

    row: Ints
    feature: Ints
    times: npt.NDArray[np.float32]


class Tokens(NamedTuple):
    """Hashes and the text each belongs to, in order of place."""

    row: Ints
    hash: U64


def words_of(texts: pl.Series) -> Tokens:
    """Hash the words of texts, runs of letters, digits, underscores and all that is not ASCII, in lower case."""
    parts = [Tokens(tokens.row + first, tokens.hash) for first, part in _parts(texts) for tokens in [_words(*part)]]
    return Tokens(np.concatenate([p.row for p in parts]), np.concatenate([p.hash for p in parts]))


def counted(texts: pl.Series) -> Counts:
    """Count words, pairs of neighbouring words, and pieces of PIECE_SIZES bytes that cross no space."""
    parts = []
    for first, (data, row) in _parts(texts):
        words = _words(data, row)
        pairs = words.row[1:] == words.row[:-1]
        double = Tokens(words.row[1:][pairs], mixed(words.hash[:-1] * np.uint64(3) + words.hash[1:])[pairs])
        kinds = [_slot(words, 0, WORD_BITS), _slot(double, 0, WORD_BITS)]
        kinds += [_slot(_pieces(data, row, n), 1 << WORD_BITS, PIECE_BITS) for n in PIECE_SIZES]
        ordered = np.sort(np.concatenate(kinds))
        keys = distinct(ordered)
        times = np.diff(np.searchsorted(ordered, keys), append=len(ordered)).astype(np.float32)
        parts.append(Counts(keys // N_FEATURES + first, keys % N_FEATURES, times))
    return Counts(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def distinct(keys: Ints) -> Ints:
    """Sort keys and keep one of each. NumPy's `unique` hashes integers since 2.3, which is ten times slower."""
    ordered = np.sort(keys)
    return np.asarray(ordered[np.diff(ordered, prepend=-1) != 0])


def _slot(tokens: Tokens, first: int, bits: int) -> Ints:
    """Number the pair of text and feature, features from `first`."""
    feature = (tokens.hash >> np.uint64(64 - bits)).astype(np.int64) + first
    return tokens.row * N_FEATURES + feature


def _parts(texts: pl.Series) -> Iterator[tuple[int, tuple[npt.NDArray[np.uint8], Ints]]]:
    """Yield about _CHUNK_BYTES of text at a time: the first row, and per byte its value and its row from there.

    Texts are lower-cased, runs of white space are one space, and a space stands before and behind each.
    """
    clean = pl.concat_str(pl.lit(" "), pl.lit(texts).str.to_lowercase().str.replace_all(r"\s+", " "), pl.lit(" "))
    ready = pl.select(clean).to_series().fill_null("  ")
    sizes = ready.str.len_bytes().to_numpy().astype(np.int64)
    part = np.cumsum(sizes) // _CHUNK_BYTES
    ends = [*(np.flatnonzero(np.diff(part)) + 1).tolist(), len(ready)]
    first = 0
    for end in ends:
        piece = ready.slice(first, end - first)
        data = np.frombuffer("".join(piece).encode(), np.uint8)
        yield first, (data, np.repeat(np.arange(end - first), sizes[first:end]))
        first = end


def _words(data: npt.NDArray[np.uint8], row: Ints) -> Tokens:
    edges = np.diff(_is_word()[data].astype(np.int8), prepend=0, append=0)
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return Tokens(row[starts], _hashes(data, starts, ends))


def _pieces(data: npt.NDArray[np.uint8], row: Ints, n: int) -> Tokens:
    """Hash the runs of n bytes within a text that have no space but at their ends."""
    spaces = np.concatenate(([0], np.cumsum(data == _SPACE)))
    starts = np.arange(len(data) - n + 1)
    inside = (spaces[starts + n - 1] == spaces[starts + 1]) & (row[starts] == row[starts + n - 1])
    starts = starts[inside]
    return Tokens(row[starts], _hashes(data, starts, starts + n))


def _hashes(data: npt.NDArray[np.uint8], starts: Ints, ends: Ints) -> U64:
    """Hash data[start:end] for each pair, wherever it lies."""
    up, down = _powers(len(data).bit_length())
    sums = np.concatenate(([np.uint64(0)], np.cumsum((data + np.uint64(1)) * up[: len(data)], dtype=np.uint64)))
    return mixed((sums[ends] - sums[starts]) * down[starts] + (ends - starts).astype(np.uint64))


@cache
def _powers(n_bits: int) -> tuple[U64, U64]:
    """Powers of the base and of its inverse modulo 2**64."""
    inverse = pow(_BASE, -1, 1 << 64)
    filled = [np.full(1 << n_bits, b, np.uint64) for b in (_BASE, inverse)]
    for powers in filled:
        powers[0] = 1
    return np.cumprod(filled[0], dtype=np.uint64), np.cumprod(filled[1], dtype=np.uint64)


@cache
def _is_word() -> npt.NDArray[np.bool_]:
    return np.array([chr(b).isalnum() or chr(b) == "_" or b >= 128 for b in range(256)])

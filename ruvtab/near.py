"""Near-duplicate texts: MinHash signatures, banded into buckets (LSH), candidates verified by their Jaccard similarity.

Broder, "On the resemblance and containment of documents" (1997); banding as in Leskovec, Rajaraman and Ullman, "Mining
of Massive Datasets", chapter 3.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from ruvtab.draw import U64, bits, key_of, mixed
from ruvtab.tokens import Tokens, distinct, words_of

BANDS, ROWS_PER_BAND = 16, 4
_CHUNK = 65_536
_PAIRS = 50_000
_SHINGLE_BITS = 44


def near_pairs(texts: pl.Series, threshold: float = 0.85) -> pl.DataFrame:
    """Find pairs of texts that are nearly the same: columns row, twin (an earlier row, u32 both), similarity in [0, 1].

    Similarity is Jaccard's over the words and pairs of neighbouring words, upper and lower case alike. Each row is
    compared with the first and with the previous text of every bucket that it falls into, so a row with a near twin
    of at least `threshold` is found with a chance above 0.999 at 0.85. Pairs are sorted by row, the most similar first.
    Equal texts count as near.
    """
    shingles = _shingles(texts)
    signatures = _signatures(shingles, len(texts))
    pairs = _candidates(signatures)
    agree = (signatures[pairs["row"]] == signatures[pairs["twin"]]).mean(axis=1) if len(pairs) else np.zeros(0)
    pairs = pairs.filter(pl.Series(agree >= threshold - 0.15, dtype=pl.Boolean))
    parts = [_with_similarity(part, shingles) for part in pairs.iter_slices(_PAIRS)]
    return (
        pl.concat([pairs.clear().with_columns(similarity=pl.lit(0.0)), *parts])
        .filter(pl.col("similarity") >= threshold)
        .sort("row", "similarity", "twin", descending=[False, True, False])
    )


def _shingles(texts: pl.Series) -> tuple[Tokens, ...]:
    """Hash every text's words, and its pairs of neighbouring words."""
    words = words_of(texts)
    same = words.row[1:] == words.row[:-1]
    return words, Tokens(words.row[1:][same], mixed(words.hash[:-1] * np.uint64(3) + words.hash[1:])[same])


def _signatures(shingles: tuple[Tokens, ...], n_texts: int) -> npt.NDArray[np.uint32]:
    """Take the least of every text's hashes under each of BANDS * ROWS_PER_BAND permutations."""
    n = BANDS * ROWS_PER_BAND
    turns = bits(np.arange(n, dtype=np.uint64), key_of(0, "minhash")) | np.uint64(1)
    made = np.full((n_texts, n), 2**32 - 1, np.uint32)
    for tokens in shingles:
        ends = np.searchsorted(tokens.row, np.arange(0, n_texts + _CHUNK, _CHUNK))
        for start, end in pairwise(ends.tolist()):
            part = tokens.hash[start:end]
            begins = np.flatnonzero(np.diff(tokens.row[start:end], prepend=-1))
            rows = tokens.row[start:end][begins]
            for i, turn in enumerate(turns):
                least = np.minimum.reduceat((part * turn >> np.uint64(32)).astype(np.uint32), begins)
                made[rows, i] = np.minimum(made[rows, i], least)
    return made


def _candidates(signatures: npt.NDArray[np.uint32]) -> pl.DataFrame:
    """Pair every row with the first and the previous row of each bucket."""
    row = pl.int_range(pl.len(), dtype=pl.UInt32).alias("row")
    found = [
        pl.DataFrame({"bucket": _band(signatures, band)})
        .select("bucket", row)
        .with_columns(first=pl.col("row").first().over("bucket"), before=pl.col("row").shift(1).over("bucket"))
        .filter(pl.col("before").is_not_null())
        .select("row", pl.concat_list("first", "before").alias("twin"))
        .explode("twin")
        for band in range(BANDS)
    ]
    return pl.concat(found).unique().sort("row", "twin")


def _band(signatures: npt.NDArray[np.uint32], band: int) -> U64:
    key = np.zeros(len(signatures), np.uint64)
    for column in range(band * ROWS_PER_BAND, (band + 1) * ROWS_PER_BAND):
        key = mixed(key + signatures[:, column])
    return key


def _with_similarity(pairs: pl.DataFrame, shingles: tuple[Tokens, ...]) -> pl.DataFrame:
    """Compare the sets of each pair: shared over all."""
    sides = [_keys_of(shingles, pairs[side].to_numpy()) for side in ("row", "twin")]
    keys = np.sort(np.concatenate(sides))
    both = np.bincount(keys[:-1][keys[1:] == keys[:-1]] >> _SHINGLE_BITS, minlength=len(pairs))
    either = np.bincount(keys >> _SHINGLE_BITS, minlength=len(pairs)) - both
    return pairs.with_columns(similarity=pl.Series(both / np.maximum(either, 1)))


def _keys_of(shingles: tuple[Tokens, ...], rows: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """Number the different pairs of place in `rows` and shingle of that text."""
    made = []
    for tokens in shingles:
        starts = np.searchsorted(tokens.row, rows)
        sizes = np.searchsorted(tokens.row, rows, side="right") - starts
        places = np.repeat(starts - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())
        of_text = (tokens.hash[places] >> np.uint64(64 - _SHINGLE_BITS)).astype(np.int64)
        made.append(np.repeat(np.arange(len(rows)), sizes) << _SHINGLE_BITS | of_text)
    return distinct(np.concatenate(made))

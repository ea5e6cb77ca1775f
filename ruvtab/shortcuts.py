"""What gives a label away: simple predictors that should fail, learned on one part of the rows, tried on another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from ruvtab.draw import bits, key_of
from ruvtab.measures import Codes, macro_f1
from ruvtab.tokens import WORD_BITS, Tokens, words_of

Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

KEYWORDS = 10
LENGTH_BINS = 24
_SLOTS = 1 << WORD_BITS


@dataclass(frozen=True)
class Part:
    """Rows as the predictors see them: codes of the label in [0, n_labels), and which rows learn."""

    label: Codes
    n_labels: int
    learns: Bools


def shortcuts_of(df: pl.DataFrame, label: str) -> dict[str, float]:
    """Measure what each shortcut predicts of a label: macro-F1 on rows that it did not learn from, in [0, 1].

    Learns on the train split where there are splits, else on two thirds of the groups. Predictions are balanced: the
    label under which the key is likeliest, so that a rare label counts as much as a common one.
    """
    df = df.filter(pl.col(label).is_not_null())
    codes = df[label].rank("dense").to_numpy().astype(np.int64) - 1
    part = Part(codes, int(codes.max(initial=0)) + 1, _learns(df))
    length = pl.col("input").str.len_chars()
    words = pl.col("input").str.count_matches(r"\S+")
    first = pl.col("input").str.to_lowercase().str.extract(r"([\p{L}\p{N}]+)").fill_null("")
    bins = [(by.rank("average") / pl.len() * LENGTH_BINS).floor() for by in (length, words)]
    found = {
        "majority": _score(part, _by_key(part, np.zeros(len(df), np.int64), balanced=False)),
        "length": max(_score(part, _by_key(part, df.select(b).to_series().rank("dense").to_numpy())) for b in bins),
        "first word": _score(part, _by_key(part, df.select(first).to_series().rank("dense").to_numpy())),
        "keywords": _score(part, _by_words(part, words_of(df["input"]), _keywords)),
    }
    if df["context"].str.len_chars().max():
        found["context"] = _score(part, _by_words(part, words_of(df["context"]), _log_odds))
    if "family" in df.columns:
        found["family"] = _score(part, _by_key(part, df["family"].fill_null("").rank("dense").to_numpy()))
    return found


def _learns(df: pl.DataFrame) -> Bools:
    if "split" in df.columns:
        train = (df["split"] == "train").fill_null(False).to_numpy()
        if 0 < train.sum() < len(df):
            return np.asarray(train)
    group = df["group_id" if "group_id" in df.columns else "input"].fill_null("").rank("dense").to_numpy()
    return bits(group.astype(np.uint64), key_of(0, "shortcuts")) % np.uint64(3) > 0


def _score(part: Part, predicted: Codes) -> float:
    tried = ~part.learns
    return macro_f1(part.label[tried], predicted[tried], part.n_labels)


def _by_key(part: Part, key: Codes, *, balanced: bool = True) -> Codes:
    """Predict each row from the rows with the same key that learn; one never met gets the commonest label."""
    key = key.astype(np.int64)
    shape = (int(key.max(initial=0)) + 1, part.n_labels)
    seen = np.bincount((key * part.n_labels + part.label)[part.learns], minlength=shape[0] * shape[1]).reshape(shape)
    total = seen.sum(axis=0)
    rates = seen / np.maximum(total, 1) if balanced else seen
    rates = np.where(seen.sum(axis=1, keepdims=True) > 0, rates, total)
    return np.asarray(rates.argmax(axis=1)[key])


def _by_words(part: Part, tokens: Tokens, weigh: Callable[[Counts], Floats]) -> Codes:
    """Predict each row by the sum of its words' weights, learned from counts of words per label."""
    slot = (tokens.hash >> np.uint64(64 - WORD_BITS)).astype(np.int64)
    learns = part.learns[tokens.row]
    seen = np.bincount((part.label[tokens.row] * _SLOTS + slot)[learns], minlength=part.n_labels * _SLOTS)
    weights = weigh(seen.reshape(part.n_labels, _SLOTS))
    scores = [np.bincount(tokens.row, w[slot], len(part.label)) for w in weights]
    return np.asarray(np.argmax(scores, axis=0))


def _log_odds(seen: Counts) -> Floats:
    """Weigh words as naive Bayes with smoothing does, all labels equally likely."""
    return np.asarray(np.log((seen + 0.1) / (seen + 0.1).sum(axis=1, keepdims=True)))


def _keywords(seen: Counts) -> Floats:
    """Give one point to each of the KEYWORDS words that are most a label's own, none to others."""
    share = seen / np.maximum(seen.sum(axis=1, keepdims=True), 1)
    own = share - share.sum(axis=0) / len(share)
    best = np.argsort(-own, axis=1, kind="stable")[:, :KEYWORDS]
    points = np.zeros(seen.shape)
    np.put_along_axis(points, best, 1.0, axis=1)
    return points

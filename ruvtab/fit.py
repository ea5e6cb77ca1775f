"""Fit a router to labelled texts: logistic regression over hashed TF-IDF or a local encoder's embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from ruvtab.errors import ConfigError
from ruvtab.router import Floats, Head, Router, encoded, idf_of, weighed
from ruvtab.tokens import N_FEATURES, counted

# inverse strength of the L2 penalty
PENALTY = 5.0
MAX_ITERATIONS = 300


def fitted(df: pl.DataFrame, labels: Sequence[str], encoder: str | None = None) -> Router:
    """Fit one linear model per label on each row's input, and once more on input with context where there is one.

    Every value of a label counts as much as another: the shares of a dataset are not those of anybody's traffic.

    Needs input, context and the labels, without nulls. The same rows give the same router: the solver draws nothing.

    Raises ConfigError where scikit-learn is missing or a label has one value only.
    """
    logistic = _logistic()
    with_context = df.filter(pl.col("context") != "")
    texts = pl.concat(
        [df["input"], with_context.select(pl.concat_str("input", "context", separator="\n")).to_series().alias("input")]
    )
    constant = [label for label in labels if df[label].n_unique() < 2]
    if constant:
        raise ConfigError(f"nothing to learn: {', '.join(constant)} has one value only in the training rows")
    features, used, idf = _features(texts, encoder)
    names, weights, bias = dict[str, list[str]](), dict[str, Floats](), dict[str, Floats]()
    for label in labels:
        values = pl.concat([df[label], with_context[label]])
        names[label] = sorted(values.unique().to_list())
        model = logistic(C=PENALTY, max_iter=MAX_ITERATIONS, tol=1e-4, class_weight="balanced").fit(
            features, values.to_numpy()
        )
        w: Floats = np.asarray(model.coef_, np.float32)
        b: Floats = np.asarray(model.intercept_, np.float32)
        if len(names[label]) == 2:  # one row stands for both
            w, b = np.concatenate([-w, w]) * np.float32(0.5), np.concatenate([-b, b]) * np.float32(0.5)
        weights[label], bias[label] = np.zeros((len(w), len(idf) or w.shape[1]), np.float32), b
        weights[label][:, used] = w
    return Router(Head(names, {}, {}, encoder), idf, weights, bias)


def _features(texts: pl.Series, encoder: str | None) -> tuple[Any, Any, Floats]:
    """Return a matrix (texts, features in use), which features those are, and the idf of all features."""
    if encoder is not None:
        return encoded(texts, encoder), slice(None), np.zeros(0, np.float32)
    from scipy.sparse import csr_matrix  # noqa: PLC0415

    counts = counted(texts)
    idf = idf_of(counts, len(texts))
    value = weighed(counts, idf, len(texts))
    keep = value > 0
    used = np.flatnonzero(idf)
    column = np.zeros(N_FEATURES, np.int32)
    column[used] = np.arange(len(used))
    ends = np.cumsum(np.bincount(counts.row[keep], minlength=len(texts)))
    matrix = (value[keep], column[counts.feature[keep]], np.concatenate(([0], ends)).astype(np.int32))
    return csr_matrix(matrix, shape=(len(texts), len(used))), used, idf


def _logistic() -> Any:
    try:
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError("training a router needs scikit-learn: pip install 'ruvtab[eval]'") from error
    return LogisticRegression

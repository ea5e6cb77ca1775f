"""How good predictions are: shares and means in [0, 1] from codes of labels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def confusion(truth: Codes, predicted: Codes, n_labels: int) -> Codes:
    """Count rows per true label (rows of the table) and predicted label (columns)."""
    return np.bincount(truth * n_labels + predicted, minlength=n_labels**2).reshape(n_labels, n_labels)


def macro_f1(truth: Codes, predicted: Codes, n_labels: int) -> float:
    """Mean of the F1 of the labels that occur, in truth or prediction; a label never predicted has 0."""
    table = confusion(truth, predicted, n_labels)
    occurring = table.sum(axis=0) + table.sum(axis=1)
    return float((2 * np.diag(table)[occurring > 0] / occurring[occurring > 0]).mean()) if len(truth) else 0.0


def accuracy(truth: Codes, predicted: Codes) -> float:
    """Share of rows predicted right."""
    return float((truth == predicted).mean()) if len(truth) else 0.0


def calibration_error(right: npt.NDArray[np.bool_], confidence: Floats, n_bins: int = 10) -> float:
    """Expected calibration error: |accuracy - confidence| per bin of equal width, by rows (Guo et al. 2017)."""
    places = np.minimum((confidence * n_bins).astype(np.int64), n_bins - 1)
    gaps = np.bincount(places, right - confidence, n_bins)
    return float(np.abs(gaps).sum() / len(right)) if len(right) else 0.0

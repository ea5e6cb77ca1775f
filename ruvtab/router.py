"""A fitted router: linear models over hashed words and pieces of words; says agent, labels, model and confidence.

Runs on NumPy alone. A saved one is a folder of a NumPy archive without pickles and a JSON file: to load one runs no
code of somebody else's.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ruvtab.errors import DataError
from ruvtab.tokens import N_FEATURES, PIECE_BITS, PIECE_SIZES, WORD_BITS, Counts, counted

WEIGHTS, HEAD = "router.npz", "router.json"
_LAYOUT = {"words": WORD_BITS, "pieces": PIECE_BITS, "sizes": list(PIECE_SIZES), "format": 1}

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Head:
    """What a router knows beside its weights: label → values in code order, routing, agents, its encoder or none."""

    labels: dict[str, list[str]]
    routing: dict[str, dict[str, str]]
    agents: dict[str, str]
    encoder: str | None = None


@dataclass(frozen=True)
class Router:
    """idf: float32, one per feature (empty with an encoder) · weights: label → (values, features) · bias: (values,)."""

    head: Head
    idf: Floats
    weights: dict[str, Floats]
    bias: dict[str, Floats]

    def chances(self, texts: pl.Series) -> dict[str, Doubles]:
        """Return per label an array (texts, values) of chances in [0, 1], each row summing to 1."""
        if self.head.encoder is not None:
            dense = encoded(texts, self.head.encoder).astype(np.float64)
            scores = {label: dense @ w.T for label, w in self.weights.items()}
        else:
            counts = counted(texts)
            value = weighed(counts, self.idf, len(texts))
            scores = {
                label: np.stack([np.bincount(counts.row, value * w[counts.feature], len(texts)) for w in ws], axis=1)
                for label, ws in self.weights.items()
            }
        return {label: _softmax(found + self.bias[label]) for label, found in scores.items()}

    def decided(self, chances: dict[str, Doubles]) -> pl.DataFrame:
        """Decide by chances: a column per label, confidence (the least of its labels'), agent and model where known."""
        names = {
            label: pl.Series(label, self.head.labels[label]).gather(found.argmax(axis=1))
            for label, found in chances.items()
        }
        confidence = np.min([found.max(axis=1) for found in chances.values()], axis=0)
        df = pl.DataFrame(list(names.values())).with_columns(confidence=pl.Series(confidence))
        if self.head.routing and {"category", "complexity"} <= set(names):
            agents = self.head.agents
            table = [(c, level, agents[c], m) for c, models in self.head.routing.items() for level, m in models.items()]
            routes = pl.DataFrame(table, schema=["category", "complexity", "agent", "model"], orient="row")
            df = df.join(routes, on=["category", "complexity"], how="left", validate="m:1", maintain_order="left")
        return df

    def route(self, texts: Sequence[str]) -> pl.DataFrame:
        """Decide each text, as `decided` has it."""
        return self.decided(self.chances(pl.Series("text", texts, dtype=pl.String)))

    def with_routing(self, table: Mapping[str, dict[str, str]], agents: Mapping[str, str]) -> Router:
        """Have decisions name agent and model: category → level → model, category → agent."""
        return replace(self, head=replace(self.head, routing=dict(table), agents=dict(agents)))

    def save(self, folder: Path) -> None:
        """Write WEIGHTS and HEAD into a folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {f"weights_{label}": w for label, w in self.weights.items()}
        arrays |= {f"bias_{label}": b for label, b in self.bias.items()}
        with (folder / WEIGHTS).open("wb") as file:
            np.savez(file, allow_pickle=False, idf=self.idf, **arrays)
        head = asdict(self.head) | {"layout": _LAYOUT}
        (folder / HEAD).write_text(json.dumps(head, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load(folder: Path) -> Router:
    """Read a saved router; raises DataError where there is none, or one of another layout."""
    try:
        head: dict[str, Any] = json.loads((folder / HEAD).read_text(encoding="utf-8"))
        if head.pop("layout") != _LAYOUT:
            raise ValueError("it was saved by another version of ruvtab")
        with np.load(folder / WEIGHTS, allow_pickle=False) as stored:
            weights, bias = (
                {label: stored[f"{kind}_{label}"] for label in head["labels"]} for kind in ("weights", "bias")
            )
            return Router(Head(**head), stored["idf"], weights, bias)
    except FileNotFoundError as error:
        raise DataError(f"{folder} holds no router; save one: ruvtab evaluate DATASET --save {folder}") from error
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"{folder}: not a router: {error}; save it anew with ruvtab evaluate --save") from error


def weighed(counts: Counts, idf: Floats, n_texts: int) -> Floats:
    """Weigh counts as sublinear TF-IDF; words and pieces each have length 1 per text."""
    value = (1 + np.log(counts.times)) * idf[counts.feature]
    block = counts.row * 2 + (counts.feature >= 1 << WORD_BITS)
    norm = np.sqrt(np.bincount(block, value.astype(np.float64) ** 2, 2 * n_texts))
    return np.asarray(value / np.maximum(norm, 1e-12)[block], np.float32)


def idf_of(counts: Counts, n_texts: int) -> Floats:
    """Compute log((1 + texts) / (1 + texts with the feature)) + 1 per feature; 0 for one in fewer than two texts."""
    texts = np.bincount(counts.feature, minlength=N_FEATURES)
    return np.where(texts > 1, np.log((1 + n_texts) / (1 + texts)) + 1, 0).astype(np.float32)


def encoded(texts: pl.Series, encoder: str) -> Floats:
    """Embed texts with a local sentence-transformers model; raises DataError where it cannot be loaded."""
    try:
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415

        model = SentenceTransformer(encoder, local_files_only=True)
    except ImportError as error:
        raise DataError("an encoder needs sentence-transformers: pip install sentence-transformers") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{encoder}: no sentence-transformers model can be loaded from it: {error}") from error
    return np.asarray(model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False), np.float32)


def _softmax(scores: Doubles) -> Doubles:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def routing_of(routing: pl.DataFrame) -> tuple[Mapping[str, dict[str, str]], dict[str, str]]:
    """Turn a taxonomy's routing frame into category → level → model, and category → agent."""
    table: dict[str, dict[str, str]] = {}
    for category, level, model in routing.select("category", "complexity", "expected_model").rows():
        table.setdefault(category, {})[level] = model
    return table, dict(routing.select("category", "output_agent").unique(maintain_order=True).rows())

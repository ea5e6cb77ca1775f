"""What a router trained on a dataset does with labelled requests that nobody generated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from ruvtab.cost import TOKENS, Price, cost_of
from ruvtab.errors import ConfigError
from ruvtab.fit import fitted
from ruvtab.labelled import Labelled, read_labelled
from ruvtab.measures import Codes, accuracy, calibration_error, confusion, macro_f1
from ruvtab.router import Router
from ruvtab.shortcuts import shortcuts_of

TASKS = ("category", "complexity", "domain")
WORST = 20
MAX_ROWS = 50_000


@dataclass(frozen=True)
class Routing:
    """A taxonomy's part in an evaluation: category → level → model, category → agent, models cheapest first."""

    table: Mapping[str, dict[str, str]]
    agents: Mapping[str, str]
    models: list[str]
    price: Price
    tokens: tuple[int, int] = TOKENS


@dataclass(frozen=True)
class Evaluation:
    """A fitted router and what it is worth; `report` holds plain values, as `ruvtab evaluate --json` prints them."""

    router: Router
    report: dict[str, Any]


@dataclass(frozen=True)
class _Trial:
    """A router tried on rows: their chances once computed, true and predicted codes per label."""

    router: Router
    df: pl.DataFrame

    @cached_property
    def chances(self) -> dict[str, npt.NDArray[np.float64]]:
        return self.router.chances(self.df["input"])

    @cached_property
    def decided(self) -> pl.DataFrame:
        return self.router.decided(self.chances)

    def values(self, label: str) -> list[str]:
        """List the values of training, and then those met here for the first time."""
        known = self.router.head.labels[label]
        return [*known, *sorted(set(self.df[label].unique()) - set(known))]

    def codes(self, label: str) -> tuple[Codes, Codes]:
        values = self.values(label)
        truth = self.df[label].replace_strict(values, list(range(len(values))), return_dtype=pl.Int64)
        return truth.to_numpy(), self.chances[label].argmax(axis=1)

    def scores(self, label: str) -> dict[str, float]:
        truth, predicted = self.codes(label)
        found = {
            "accuracy": accuracy(truth, predicted),
            "macro_f1": macro_f1(truth, predicted, len(self.values(label))),
            "calibration_error": calibration_error(truth == predicted, self.chances[label].max(axis=1)),
        }
        return {name: round(value, 4) for name, value in found.items()}


def evaluate(
    dataset: str | Path,
    on: str | Path | None = None,
    *,
    routing: Routing | None = None,
    columns: Mapping[str, str] | None = None,
    encoder: str | None = None,
    all_splits: bool = False,
    max_rows: int = MAX_ROWS,
) -> Evaluation:
    """Train routers on a dataset's rows and try them on labelled texts; without `on`, on its own test split.

    Rows of the test split are kept from training, unless `all_splits`; of more than `max_rows` the first are taken,
    since every prefix of a dataset of ours is balanced. Two routers are trained, on inputs alone and on inputs with and
    without their context; the second is returned. Both are tried on inputs alone. Same rows, same report.

    Raises DataError where data cannot be read, ConfigError where scikit-learn is missing or no label is shared.
    """
    data = read_labelled(dataset, columns)
    own_test = data.df.filter(_is_test(data.df))
    if on is None and (own_test.is_empty() or all_splits):
        raise ConfigError(f"{data.path} has no test split to try routers on; name labelled texts with --on FILE")
    tried = read_labelled(on).df if on is not None else own_test
    labels = [label for label in _labels_of(data) if label in tried.columns]
    if not labels:
        raise ConfigError(f"{data.path} and {on} share no label; the dataset has {', '.join(data.labels)}")
    whole = pl.all_horizontal(pl.col(column).is_not_null() for column in ("input", *labels))
    train = _in_order(data.df.filter(whole & (pl.lit(all_splits) | ~_is_test(data.df)))).head(max_rows)
    fits = routing is not None and "category" in labels and set(train["category"]) <= set(routing.table)
    known = routing if fits else None
    plain, router = (fitted(df, labels, encoder) for df in (train.with_columns(context=pl.lit("")), train))
    if known is not None:
        plain, router = (made.with_routing(known.table, known.agents) for made in (plain, router))
    trials = {"router": _Trial(router, tried.filter(whole)), "router, input only": _Trial(plain, tried.filter(whole))}
    report = {
        "dataset": str(data.path),
        "on": str(on) if on is not None else f"{data.path}, test split",
        "train_rows": len(train),
        "rows": len(trials["router"].df),
        "scores": {label: _scores(trials, train, label) for label in labels},
        "confusion": {label: _confusion(trials["router"], label) for label in labels},
        "worst": _worst(trials["router"], labels),
    }
    if known is not None and set(TASKS[:2]) <= set(labels):
        report |= _models(trials, known)
    if not all_splits and "group_id" in own_test.columns and not own_test.is_empty():
        report["robustness"] = _robustness(_Trial(router, own_test), labels)
    return Evaluation(router, report)


def _is_test(df: pl.DataFrame) -> pl.Expr:
    return (pl.col("split") == "test").fill_null(False) if "split" in df.columns else pl.lit(False)


def _in_order(df: pl.DataFrame) -> pl.DataFrame:
    """Interleave the files of splits, so that a prefix has rows of each, by its share of them."""
    place = (pl.int_range(pl.len()).over("file") + 0.5) / pl.len().over("file")
    return df.with_columns(place=place).sort("place", "file", "line").drop("place")


def _labels_of(data: Labelled) -> tuple[str, ...]:
    """What to learn: the three decisions of a router where they are all there, else every label."""
    return TASKS if set(TASKS) <= set(data.labels) else data.labels


def _scores(trials: Mapping[str, _Trial], train: pl.DataFrame, label: str) -> dict[str, dict[str, float]]:
    """Compare the routers with what trivial predictors reach."""
    tried = trials["router"].df
    columns = [c for c in ("input", "context", "family", label) if c in tried.columns and c in train.columns]
    both = pl.concat([df.select(*columns, split=pl.lit(split)) for df, split in ((train, "train"), (tried, "test"))])
    trivial = {name: {"macro_f1": round(f1, 4)} for name, f1 in shortcuts_of(both, label).items()}
    return {name: trial.scores(label) for name, trial in trials.items()} | trivial


def _confusion(trial: _Trial, label: str) -> dict[str, Any]:
    values = trial.values(label)
    return {"values": values, "counts": confusion(*trial.codes(label), len(values)).tolist()}


def _worst(trial: _Trial, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Name the rows whose right labels were held least likely."""
    likely, rows = np.ones(len(trial.df)), np.arange(len(trial.df))
    for label in labels:
        truth, chances = trial.codes(label)[0], trial.chances[label]
        known = truth < chances.shape[1]
        likely *= np.where(known, chances[rows, np.where(known, truth, 0)], 0)
    worst = np.argsort(likely, kind="stable")[:WORST].tolist()
    right, decided = trial.df.select(labels), trial.decided.select(labels)
    return [
        {"input": trial.df["input"][i], "right": right.row(i, named=True), "decided": decided.row(i, named=True)}
        for i in worst
    ]


def _models(trials: Mapping[str, _Trial], routing: Routing) -> dict[str, Any]:
    """Compare the models that decisions lead to with those the labels ask for, and price both."""
    code = {model: i for i, model in enumerate(routing.models)}
    table = [(c, level, code[m]) for c, models in routing.table.items() for level, m in models.items()]
    right = pl.DataFrame(table, schema=["category", "complexity", "needed"], orient="row")
    df = trials["router"].df.select(TASKS[:2])
    needed = df.join(right, on=TASKS[:2], how="left", validate="m:1", maintain_order="left")["needed"]
    has = needed.is_not_null()
    truth = needed.filter(has).to_numpy()
    chosen = {
        name: trial.decided["model"].replace_strict(code, return_dtype=pl.Int64).filter(has).to_numpy()
        for name, trial in trials.items()
    }
    found = {name: round(accuracy(truth, codes), 4) for name, codes in chosen.items()}
    majority = round(float(np.bincount(truth).max(initial=0)) / max(len(truth), 1), 4)
    cost = cost_of(truth, chosen["router"], routing.models, routing.price, routing.tokens)
    return {"model_accuracy": found | {"majority": majority}, "cost": cost}


def _robustness(trial: _Trial, labels: Sequence[str]) -> dict[str, Any]:
    """Share of groups of the test split whose rows with equal labels, a seed and its paraphrases, get one decision."""
    decision = trial.decided.select(pl.struct(labels).alias("decision")).to_series()
    groups = (
        trial.df.select("group_id", *labels)
        .with_columns(decision)
        .group_by("group_id", *labels)
        .agg(rows=pl.len(), decisions=pl.col("decision").n_unique())
        .filter(pl.col("rows") > 1)
    )
    share = len(groups.filter(pl.col("decisions") == 1)) / len(groups) if len(groups) else None
    return {"groups": len(groups), "one_decision": round(share, 4) if share is not None else None}

"""Routers learn, are judged as the formulas say, survive being saved, and cost what the prices say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from shell import here, run
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from ruvtab.cost import cost_of, prices_of
from ruvtab.errors import ConfigError, DataError
from ruvtab.evaluate import Routing, evaluate
from ruvtab.fit import fitted
from ruvtab.measures import accuracy, calibration_error, confusion, macro_f1
from ruvtab.pack import default_pack
from ruvtab.prepare import prepared
from ruvtab.router import load, routing_of


def routing() -> Routing:
    taxonomy = prepared()[0].taxonomy
    return Routing(*routing_of(taxonomy.routing), taxonomy.models, prices_of())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("eval") / "dataset"
    here("build", out, "--rows", 1500, "--formats", "parquet")
    return out


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        ("fix the null check in `cart.ts`, the page goes blank", "Coder", "Simple", "Web"),
        ("threat model for our payment API, all partners", "Security", "Moderate", "Api"),
        ("review my PR: 14 files of the new seat map", "Reviewer", "Moderate", "Web"),
        ("design the sharding of 9 TB of orders over three regions", "Architecture", "Complex", "Database"),
        ("why is the nightly job slow on Mondays? findings only", "Researcher", "Moderate", "DevOps"),
    ]
    path = tmp_path_factory.mktemp("labelled") / "on.jsonl"
    names = ("input", "category", "complexity", "domain")
    path.write_text("".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows))
    return path


def test_measures_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    truth, predicted = rng.integers(0, 4, 200), rng.integers(0, 3, 200)
    assert macro_f1(truth, predicted, 6) == pytest.approx(f1_score(truth, predicted, average="macro", zero_division=0))
    assert accuracy(truth, predicted) == accuracy_score(truth, predicted)
    assert (confusion(truth, predicted, 4) == confusion_matrix(truth, predicted)).all()


def test_calibration_error_is_the_gap_between_confidence_and_truth() -> None:
    confidence = np.array([0.95] * 10 + [0.55] * 10)
    assert calibration_error(np.array([True] * 20), confidence) == pytest.approx(0.25)
    assert calibration_error(np.array([True] * 19 + [False]), np.full(20, 0.95)) == pytest.approx(0)


def test_a_router_learns_what_texts_show() -> None:
    df = pl.DataFrame({"input": ["mend the door", "paint the wall"] * 20, "context": "", "do": ["mend", "paint"] * 20})
    router = fitted(df, ["do"])
    found = router.route(["please mend this window", "paint it"])
    assert found["do"].to_list() == ["mend", "paint"]
    assert router.chances(pl.Series(["mend"]))["do"].sum() == pytest.approx(1)


def test_a_saved_router_decides_as_before(dataset: Path, labelled: Path, tmp_path: Path) -> None:
    text = run("evaluate", dataset, "--on", labelled, "--save", tmp_path / "router")
    assert "model accuracy" in text
    assert "| category | router |" in (tmp_path / "router" / "README.md").read_text()
    router = load(tmp_path / "router")
    texts = ["rename the build job to nightly", "is this cookie safe?"]
    again = json.loads(run("route", *texts, "--router", tmp_path / "router", "--json"))
    assert [row["category"] for row in again] == router.route(texts)["category"].to_list()
    assert [row["model"] for row in again] == [routing().table[r["category"]][r["complexity"]] for r in again]
    assert all(0 < row["confidence"] <= 1 for row in again)


def test_evaluation_is_the_same_twice_and_holds_all_it_promises(dataset: Path, labelled: Path) -> None:
    first, second = (evaluate(dataset, labelled, routing=routing()).report for _ in range(2))
    assert first == second
    assert set(first["scores"]) == {"category", "complexity", "domain"}
    assert {"router", "router, input only", "majority", "length", "first word"} <= set(first["scores"]["category"])
    assert np.array(first["confusion"]["category"]["counts"]).sum() == 5
    assert len(first["worst"]) == 5
    assert 0 <= first["robustness"]["one_decision"] <= 1
    assert first["cost"]["right"] <= first["cost"]["always_largest"]


def test_the_own_test_split_is_not_trained_on(dataset: Path) -> None:
    split = pl.read_parquet(dataset / "data/*.parquet")["split"]
    report = evaluate(dataset, routing=routing()).report
    assert report["rows"] == (split == "test").sum()
    assert report["train_rows"] == (split != "test").sum()
    assert evaluate(dataset, max_rows=300).report["train_rows"] == 300


def test_two_datasets_stand_side_by_side(dataset: Path, labelled: Path) -> None:
    found = json.loads(run("evaluate", dataset, "--on", labelled, "--compare", labelled, "--json"))
    assert [report["train_rows"] for report in found][1] == 5


def test_too_small_a_model_is_paid_twice() -> None:
    price = prices_of()
    models = ["haiku", "sonnet", "opus"]
    each = [(p[0] * 1000 + p[1] * 1000) / 1e6 for p in (price.models[m] for m in models)]
    found = cost_of(np.array([2, 0, 1, 1]), np.array([0, 0, 1, 2]), models, price, (1000, 1000))
    assert found["routed"] == pytest.approx((each[0] + each[2] + each[0] + each[1] + each[2]) / 4 * 1000, abs=1e-3)
    assert found["regret"] == pytest.approx(each[0] / 4 * 1000, abs=1e-3)
    assert found["waste"] == pytest.approx((each[2] - each[1]) / 4 * 1000, abs=1e-3)
    assert (found["under"], found["over"]) == (0.25, 0.25)
    with pytest.raises(ConfigError, match="no price for giant"):
        cost_of(np.array([0]), np.array([0]), ["giant"], price)


def test_prices_are_those_of_the_day(tmp_path: Path) -> None:
    from datetime import date

    assert prices_of(day=date(2025, 11, 1)).models["opus"] == (5.0, 25.0)
    with pytest.raises(ConfigError, match="holds no"):
        prices_of(day=date(2020, 1, 1))
    (tmp_path / "p.toml").write_text("[[price]]\nfrom = 2026-01-01\nmodels = 3\n")
    with pytest.raises(ConfigError, match="cannot be read"):
        prices_of(tmp_path / "p.toml")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda p: (p / "router.json").unlink(), "holds no router"),
        (lambda p: (p / "router.json").write_text("{}"), "not a router"),
        (lambda p: (p / "router.npz").write_bytes(b"PK"), "not a router"),
    ],
    ids=["gone", "other json", "cut off"],
)
def test_what_is_no_router_is_told(spoil: object, told: str, tmp_path: Path) -> None:
    df = pl.DataFrame({"input": ["mend the door", "paint the wall"] * 5, "context": "", "do": ["mend", "paint"] * 5})
    fitted(df, ["do"]).save(tmp_path)
    spoil(tmp_path)  # type: ignore[operator]
    with pytest.raises(DataError, match=told):
        load(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("evaluate", "{labelled}"), "no test split"),
        (("evaluate", "{labelled}", "--tokens", "many"), "two numbers"),
        (("evaluate", "{labelled}", "--on", "nowhere.jsonl"), "no such file"),
        (("evaluate", "{labelled}", "--columns", "category"), "ours=theirs"),
        (("route", "mend it", "--router", "nowhere"), "holds no router"),
        (("route", "--router", "nowhere"), "nothing to decide"),
        (("audit", "{labelled}", "--near", "7"), "from 0.5 to 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_arguments_are_told(arguments: tuple[str, ...], told: str, labelled: Path) -> None:
    assert told in run(*(a.format(labelled=labelled) for a in arguments), code=2)


def test_a_card_tells_what_was_measured_of_its_very_pack_only(dataset: Path, built: Path) -> None:
    recorded = json.loads((default_pack().parent / "measured.json").read_text())["pack"]
    told = "## What it teaches" in (dataset / "README.md").read_text()
    assert told == (recorded == prepared()[0].digest)
    assert "## What it teaches" not in (built / "README.md").read_text()

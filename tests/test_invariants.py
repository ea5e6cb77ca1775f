"""What must always hold of the rows: on the default pack at two sizes, and on random small packs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packs import small_pack, write_pack

import ruvtab
from ruvtab.builder import plan_of
from ruvtab.config import SPLITS, config_of
from ruvtab.errors import CapacityError
from ruvtab.plan import Plan
from ruvtab.render import Renderer
from ruvtab.taxonomy import Taxonomy

PLACEHOLDER = re.compile(r"\{|\}|\(\s*\||\|\s*\)|@@")
SIZES = {"default": {}, "200,000": {"rows": 200_000}}


def rows_of(plan: Plan) -> pl.DataFrame:
    renderer = Renderer(plan)
    batches = [renderer.batch(renderer.chunk(i, min(i + 32_768, plan.n_rows))) for i in range(0, plan.n_rows, 32_768)]
    return pl.concat([pl.DataFrame(pl.from_arrow(batch)) for batch in batches])


def check_invariants(df: pl.DataFrame, taxonomy: Taxonomy) -> None:
    for column in ("input", "context"):
        left = df.filter(pl.col(column).str.contains(PLACEHOLDER.pattern))
        assert left.is_empty(), f"placeholder left: {left[column][0]!r}"
    assert (df["input"].str.strip_chars() != "").all()
    assert df.select("input", "context").is_unique().all(), "the same (input, context) twice"
    assert df["id"].is_unique().all()
    labels = df.group_by("input").agg(
        pl.struct("category", "complexity", "domain", "expected_model").n_unique().alias("n")
    )
    assert (labels["n"] == 1).all(), f"two labels: {labels.filter(pl.col('n') > 1)['input'].to_list()[:3]}"
    for key in ("group_id", "input"):
        assert (df.group_by(key).agg(pl.n_unique("split").alias("n"))["n"] == 1).all(), f"{key} in two splits"
    routed = df.join(taxonomy.routing, on=["category", "complexity"], how="left", suffix="_routed")
    assert (routed["expected_model"] == routed["expected_model_routed"]).all()
    assert (routed["output_agent"] == routed["output_agent_routed"]).all()
    seeds = df.filter(pl.col("origin") == "seed").select(
        "group_id", "input", "context", "category", "complexity", "domain", "family"
    )
    for origin, differing in (("paraphrase", ()), ("complexity", ("complexity",)), ("domain", ("domain",))):
        grown = df.filter(pl.col("origin") == origin)
        assert grown.join(seeds, on="group_id", how="anti").is_empty(), f"{origin} without a seed"
        first = seeds.unique("group_id", keep="first")
        both = grown.join(first, on="group_id", how="inner", suffix="_seed")
        for label in ("category", "complexity", "domain", "family"):
            same = both[label] == both[f"{label}_seed"]
            assert not same.any() if label in differing else same.all(), f"{origin}: {label}"
        assert both.filter(
            (pl.col("input") == pl.col("input_seed")) & (pl.col("context") == pl.col("context_seed"))
        ).is_empty()


@pytest.fixture(scope="module", params=SIZES.values(), ids=SIZES.keys())
def built(request: pytest.FixtureRequest) -> tuple[Plan, pl.DataFrame]:
    plan = plan_of(config_of(request.param))
    return plan, rows_of(plan)


def test_rows_keep_the_invariants(built: tuple[Plan, pl.DataFrame]) -> None:
    plan, df = built
    check_invariants(df, plan.pack.taxonomy)


def test_every_phrase_differs_inside_a_group(built: tuple[Plan, pl.DataFrame]) -> None:
    assert built[1].select("group_id", "input", "context").is_unique().all()


def test_quotas_are_exact(built: tuple[Plan, pl.DataFrame]) -> None:
    plan, df = built
    counts = dict(df.group_by("origin").len().rows())
    assert len(df) == plan.n_rows
    if plan.n_rows == 2700:
        assert counts == {"seed": 500, "paraphrase": 1000, "complexity": 800, "domain": 400}
        assert set(df.group_by("category").len()["len"]) == {540}
    per_category = df.group_by("category").len()["len"]
    assert per_category.max() - per_category.min() <= 1  # type: ignore[operator]


def test_levels_have_their_shares(built: tuple[Plan, pl.DataFrame]) -> None:
    plan, df = built
    shares = dict(df.group_by("complexity").len().with_columns(pl.col("len") / len(df)).rows())
    for level, share in plan.pack.taxonomy.levels.items():
        assert abs(shares[level] - share) <= 0.01


@pytest.mark.parametrize("by", [[], ["category"], ["complexity"]], ids=["overall", "category", "complexity"])
def test_splits_have_their_shares(built: tuple[Plan, pl.DataFrame], by: list[str]) -> None:
    plan, df = built
    within = 0.02 if by else 0.01
    for _, part in df.group_by(*by) if by else [((), df)]:
        for split, share in zip(SPLITS, plan.config.split, strict=True):
            assert abs((part["split"] == split).mean() - share) <= within, (by, split)  # type: ignore[operator]


def test_any_prefix_is_balanced(built: tuple[Plan, pl.DataFrame]) -> None:
    df = built[1]
    seen = df["category"]
    for n in (1, 7, 33, 500, 1999, 2700):
        counts = seen.head(n).value_counts()["count"]
        full = list(counts) + [0] * (seen.n_unique() - len(counts))
        assert max(full) - min(full) <= 1


def test_mean_quality_and_its_ranges_hold(built: tuple[Plan, pl.DataFrame]) -> None:
    plan, df = built
    assert abs(df["quality_score"].mean() - 0.87) <= 0.02  # type: ignore[operator]
    ceilings = {origin: bounds[1] for origin, bounds in plan.pack.meta.quality.items()}
    for origin, ceiling in ceilings.items():
        assert df.filter(pl.col("origin") == origin)["quality_score"].max() <= ceiling + 1e-6  # type: ignore[operator]


@pytest.mark.parametrize("chunk", [1, 17, 1000, 5000], ids=lambda n: f"chunks of {n}")
def test_shards_equal_whole(chunk: int, small: Path) -> None:
    plan = plan_of(config_of({"rows": 1234, "pack": small}))
    renderer = Renderer(plan)
    whole = pl.DataFrame(pl.from_arrow(renderer.batch(renderer.chunk(0, plan.n_rows))))
    parts = [renderer.batch(renderer.chunk(i, min(i + chunk, plan.n_rows))) for i in range(0, plan.n_rows, chunk)]
    assert pl.concat([pl.DataFrame(pl.from_arrow(part)) for part in parts]).equals(whole)


def test_holdout_keeps_whole_subjects_for_test() -> None:
    plan = plan_of(config_of({"holdout": "subject"}))
    subjects = plan.pack.families.select(family="id", subject=pl.concat_str("category", "subject", separator="/"))
    df = rows_of(plan).join(subjects, on="family", how="left")
    held, kept = (
        set(df.filter(test if t else ~test)["subject"])
        for t, test in ((True, pl.col("split") == "test"), (False, pl.col("split") == "test"))
    )
    assert held
    assert not held & kept
    assert 0.08 <= (df["split"] == "test").mean() <= 0.22  # type: ignore[operator]
    check_invariants(df.drop("subject"), plan.pack.taxonomy)


def test_too_many_rows_fail_before_anything_is_written(small: Path, tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match=r"asked, room for [\d,]+\. The smallest cell, \S+ × \w+, holds"):
        ruvtab.build(config_of({"examples_per_category": 10**7, "pack": small}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    size: dict[str, Any] = draw(
        st.sampled_from([{"rows": draw(st.integers(1, 900))}, {"examples_per_category": draw(st.integers(1, 120))}])
    )
    rates = {
        "paraphrases_per_example": draw(st.sampled_from([0, 0.5, 2, 3])),
        "complexity_variations": draw(st.sampled_from([0, 0.7, 1.6, 2])),
        "domain_transfers": draw(st.sampled_from([0, 0.3, 0.8])),
    }
    return size | {
        "seed": draw(st.integers(0, 2**63 - 1)),
        "augmentation": rates,
        "holdout": draw(st.sampled_from(["group", "subject"])),
    }


@st.composite
def packs(draw: st.DrawFn) -> dict[str, str]:
    """Small packs with random vocabulary sizes, level shares, frames and families."""
    files = small_pack()
    for domain in ("Kitchen", "Garden"):
        for i in range(draw(st.integers(0, 6))):
            files["vocabulary/thing.csv"] += (
                f"{domain},{domain.lower()} thing {i},some {domain} {i}s,all {domain} {i}s\n"
            )
    if draw(st.booleans()):
        files["frames.toml"] = "share = 0\n"
    if draw(st.booleans()):
        files["taxonomy.toml"] = files["taxonomy.toml"].replace("Easy = 0.4, Fair = 0.3", "Easy = 0.1, Fair = 0.6")
    return files


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(files=packs(), values=configs())
def test_random_packs_and_configs_keep_the_invariants(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, str], values: dict[str, Any]
) -> None:
    root = write_pack(tmp_path_factory.mktemp("pack"), files)
    try:
        plan = plan_of(config_of(values | {"pack": root}))
    except CapacityError as error:
        too_much = str(error)
    else:
        df = rows_of(plan)
        check_invariants(df, plan.pack.taxonomy)
        counts = [df.filter(pl.col("category") == category).height for category in plan.pack.taxonomy.categories]
        assert max(counts) - min(counts) <= 1
        return
    assert "lower" in too_much or "ask for less" in too_much

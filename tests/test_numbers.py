"""Draws, quotas and splits: bijections, exact sums, shares."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packs import small_pack, write_pack

from ruvtab import DatasetConfig
from ruvtab.builder import plan_of
from ruvtab.draw import MAX_ROWS, bits, permute, stride_of, strided
from ruvtab.errors import CapacityError
from ruvtab.quota import apportion, seeds_per_level
from ruvtab.split import with_split_cuts


def full(n: int, value: int) -> np.ndarray:
    return np.full(n, value, np.uint64)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**64 - 1))
def test_permute_is_a_bijection(a: int, b: int, key: int) -> None:
    n = a * b
    places = permute(np.arange(n, dtype=np.uint64), full(n, a), full(n, b), full(n, key))
    assert sorted(places.tolist()) == list(range(n))


def test_permute_differs_by_key_and_spreads() -> None:
    k, a, b = np.arange(10_000, dtype=np.uint64), full(10_000, 100), full(10_000, 100)
    one, other = permute(k, a, b, full(10_000, 1)), permute(k, a, b, full(10_000, 2))
    assert (one == other).mean() < 0.01
    assert abs(np.corrcoef(np.arange(10_000), one.astype(float))[0, 1]) < 0.05


@given(st.integers(1, MAX_ROWS), st.integers(0, MAX_ROWS - 1))
def test_strides_are_exact_and_coprime(n: int, i: int) -> None:
    step = stride_of(n)
    assert np.gcd(step, n) == 1
    assert strided(full(1, i % n), full(1, step), full(1, n))[0] == i % n * step % n


def test_bits_are_kept() -> None:
    drawn = bits(np.arange(3, dtype=np.uint64), np.uint64(42))
    assert [f"{int(x):016x}" for x in drawn] == ["a759ea27d4727622", "bdd732262feb6e95", "28efe333b266f103"]


@given(
    st.lists(st.tuples(st.floats(0, 100), st.integers(0, 50)), min_size=1, max_size=30),
    st.floats(0, 1),
)
def test_apportion_is_exact_and_within_caps(parts: list[tuple[float, int]], fill: float) -> None:
    weights, caps = [w for w, _ in parts], [c for _, c in parts]
    room = sum(c for w, c in parts if w > 0)
    counts = apportion(int(room * fill), weights, caps)
    assert counts.sum() == int(room * fill)
    assert (counts <= caps).all()
    assert (counts >= 0).all()
    with pytest.raises(CapacityError, match="room for"):
        apportion(room + 1, weights, caps)


@given(st.integers(0, 10**12), st.lists(st.integers(1, 1000), min_size=1, max_size=20))
def test_apportion_without_caps_is_within_one_of_the_share(total: int, weights: list[int]) -> None:
    counts = apportion(total, weights)
    assert counts.sum() == total
    for n, w in zip(counts.tolist(), weights, strict=True):
        assert abs(n * sum(weights) - total * w) <= sum(weights) * (1 + 1e-6 * total / 10**6)


@given(st.integers(10, 5000), st.floats(0, 3), st.floats(0, 2), st.floats(0, 1))
def test_seeds_per_level_give_all_rows_the_level_shares(n: int, p: float, v: float, d: float) -> None:
    rows = {"seed": n, "paraphrase": round(n * p), "complexity": round(n * v), "domain": round(n * d)}
    shares = np.array([0.33, 0.4, 0.27])
    seeds = seeds_per_level(rows, shares)
    assert seeds.sum() == n
    fill = rows["complexity"] / (2 * n)
    kept = (sum(rows.values()) - rows["complexity"]) / n
    made = seeds * kept + fill * (n - seeds)
    solvable = (shares * sum(rows.values()) >= fill * n).all() and kept - fill > 0.5
    if solvable:
        assert np.abs(made - shares * sum(rows.values())).max() <= kept + fill + 1


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=80),
    st.sampled_from([(0.7, 0.15, 0.15), (0.5, 0.25, 0.25), (1.0, 0.0, 0.0)]),
)
def test_splits_of_many_small_strata_hold_overall(sizes: list[int], shares: tuple[float, float, float]) -> None:
    blocks = pl.DataFrame(
        {"stratum": range(len(sizes)), "groups": sizes, "rows": sizes, "held_out": [False] * len(sizes)}
    )
    cut = with_split_cuts(blocks, shares)
    counts = [cut["cut_1"].sum(), (cut["cut_2"] - cut["cut_1"]).sum(), (pl.Series(sizes) - cut["cut_2"]).sum()]
    assert (cut["cut_1"] <= cut["cut_2"]).all()
    assert (cut["cut_2"] <= pl.Series(sizes)).all()
    for n, share in zip(counts, shares, strict=True):
        assert abs(n - share * sum(sizes)) <= 1


def test_a_family_of_twice_the_weight_gets_twice_the_seeds(tmp_path: Path) -> None:
    files = small_pack()
    name = next(name for name in files if name.startswith("families/"))
    text = files[name]
    heavy = re.search(r'\[\[family\]\]\nid = "([^"]+)"', text)
    assert heavy is not None
    files[name] = text.replace(heavy[0], f"{heavy[0]}\nweight = 3", 1)
    shares = {}
    for label, content in (("even", small_pack()), ("heavy", files)):
        plan = plan_of(DatasetConfig(rows=600, pack=write_pack(tmp_path / label, content)))
        seeds = plan.capacity().group_by("family").agg(pl.sum("seeds")).sort("family")
        shares[label] = dict(seeds.rows())
    of = heavy[1]
    assert shares["heavy"][of] >= 1.5 * shares["even"][of]
    assert sum(shares["heavy"].values()) == sum(shares["even"].values())


@given(
    st.integers(0, 200),
    st.lists(st.sampled_from([0.1, 0.5, 1.0, 8.0]), min_size=1, max_size=40),
    st.randoms(use_true_random=False),
)
def test_shares_in_turn_are_exact_and_within_one_of_their_part(
    total: int, weights: list[float], random: Random
) -> None:
    turn = [(i + 0.5) / len(weights) for i in random.sample(range(len(weights)), len(weights))]
    counts = apportion(total, weights, turn=turn)
    assert counts.sum() == total
    assert all(abs(n - total * w / sum(weights)) < 1 + 1e-6 for n, w in zip(counts, weights, strict=True))


def test_small_shares_have_their_part_beside_large_ones() -> None:
    weights = [8.0] * 10 + [3.0] * 100  # parts of 0.42 and 0.16 each: by size alone, the large ones would all be served
    counts = [apportion(20, weights, turn=(np.random.default_rng(i).permutation(110) + 0.5) / 110) for i in range(20)]
    assert 14 <= np.mean([c[10:].sum() for c in counts]) <= 18

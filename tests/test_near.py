"""Near duplicates are found, named once with their earlier twin, and nothing else is."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ruvtab.near import near_pairs
from ruvtab.tokens import N_FEATURES, counted, distinct, words_of

WORDS = st.lists(st.sampled_from("abcdefghijklmnop"), min_size=1, max_size=12)


def jaccard(a: str, b: str) -> float:
    sets = [{*w, *pairwise(w)} for w in (a.split(), b.split())]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def random_texts(n: int, n_words: int) -> list[str]:
    rng = np.random.default_rng(1)
    return [" ".join(f"w{i}" for i in rng.integers(0, 5000, n_words)) for _ in range(n)]


def test_planted_edits_are_found_and_nothing_else() -> None:
    texts = random_texts(3000, 30)
    edited = [text.replace(text.split()[9], "changed", 1) for text in texts[:500]]
    pairs = near_pairs(pl.Series(texts + edited), 0.8)
    assert pairs["row"].to_list() == list(range(3000, 3500))
    assert pairs["twin"].to_list() == list(range(500))
    assert all(jaccard(edited[i], texts[i]) == pytest.approx(s) for i, s in enumerate(pairs["similarity"]))


def test_equal_texts_count_and_the_earliest_twin_comes_first() -> None:
    pairs = near_pairs(pl.Series(["mend the door", "paint a wall now", "Mend  the DOOR", "mend the door"]), 0.9)
    assert pairs.rows() == [(2, 0, 1.0), (3, 0, 1.0), (3, 2, 1.0)]


@pytest.mark.parametrize(
    "texts", [[], ["one text"], ["", "", "   "], ["…", "—"]], ids=["none", "one", "blank", "no words"]
)
def test_texts_without_words_have_no_twins(texts: list[str]) -> None:
    assert near_pairs(pl.Series("t", texts, dtype=pl.String)).is_empty()


@given(st.lists(WORDS, min_size=2, max_size=8))
def test_every_pair_named_is_as_similar_as_said(words: list[list[str]]) -> None:
    texts = [" ".join(w) for w in words]
    for row, twin, similarity in near_pairs(pl.Series(texts), 0.5).rows():
        assert twin < row
        assert jaccard(texts[row], texts[twin]) == pytest.approx(similarity)


def test_words_hash_by_their_letters_alone() -> None:
    a = words_of(pl.Series(["Mend the door", "the door; mend!"]))
    assert a.row.tolist() == [0, 0, 0, 1, 1, 1]
    assert a.hash[[0, 1, 2]].tolist() == a.hash[[5, 3, 4]].tolist()
    assert len(set(words_of(pl.Series(["ab ba abb bab a b"])).hash.tolist())) == 6


@given(st.lists(st.text(max_size=30), min_size=1, max_size=6))
def test_counts_of_a_text_do_not_depend_on_its_neighbours(texts: list[str]) -> None:
    whole = counted(pl.Series(texts))
    for i, text in enumerate(texts):
        alone = counted(pl.Series([text]))
        mine = whole.row == i
        assert whole.feature[mine].tolist() == alone.feature.tolist()
        assert whole.times[mine].tolist() == alone.times.tolist()


def test_long_inputs_are_counted_in_parts_as_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pl.Series(random_texts(50, 20))
    whole = counted(texts)
    monkeypatch.setattr("ruvtab.tokens._CHUNK_BYTES", 300)
    parts = counted(texts)
    assert all((a == b).all() for a, b in zip(whole, parts, strict=True))
    assert whole.feature.max() < N_FEATURES


def test_distinct_sorts_and_keeps_one() -> None:
    assert distinct(np.array([3, 1, 3, 0, 0])).tolist() == [0, 1, 3]

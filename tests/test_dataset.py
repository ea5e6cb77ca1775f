"""TaskDataset: a frame with filter, split, stats and exports."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from packs import small_pack, write_pack

import ruvtab
from ruvtab import AugmentationConfig, ConfigError, DatasetConfig, OutputError, TaskDataset, generate


@pytest.fixture(scope="module")
def dataset() -> TaskDataset:
    return generate(DatasetConfig(examples_per_category=40, augmentation=AugmentationConfig(domain_transfers=0.5)))


def test_the_default_makes_2700_rows() -> None:
    assert len(generate()) == 2700


def test_repr_says_what_is_in_it(dataset: TaskDataset) -> None:
    assert f"{len(dataset):,} rows, 200 groups" in repr(dataset)
    assert "Security 20.0%" in repr(dataset)


def test_filter_keeps_what_has_all_that_is_asked(dataset: TaskDataset) -> None:
    kept = dataset.filter(category="Coder", complexity=["Simple", "Complex"], min_quality=0.85).examples
    assert set(kept["category"]) == {"Coder"}
    assert set(kept["complexity"]) == {"Simple", "Complex"}
    assert kept["quality_score"].min() >= 0.85 - 1e-6  # type: ignore[operator]
    df = dataset.examples
    wanted = (
        (pl.col("category") == "Coder")
        & (pl.col("complexity") != "Moderate")
        & (pl.col("quality_score") >= pl.lit(0.85, pl.Float32))
    )
    assert len(kept) == df.filter(wanted).height > 0


def test_filter_by_tag_looks_into_the_list(dataset: TaskDataset) -> None:
    tag = dataset.examples["tags"][0][0]
    kept = dataset.filter(tag=tag).examples
    assert all(tag in tags for tags in kept["tags"])
    assert len(kept) > 0


def test_split_without_shares_is_the_plans(dataset: TaskDataset) -> None:
    parts = dataset.split()
    assert [set(part.examples["split"]) for part in parts] == [{"train"}, {"validation"}, {"test"}]
    assert sum(map(len, parts)) == len(dataset)


def test_split_with_shares_deals_groups_anew(dataset: TaskDataset) -> None:
    parts = dataset.split(0.5, 0.25, 0.25)
    groups = [set(part.examples["group_id"]) for part in parts]
    assert not (groups[0] & groups[1])
    assert not (groups[0] & groups[2])
    assert not (groups[1] & groups[2])
    for part, share in zip(parts, (0.5, 0.25, 0.25), strict=True):
        assert abs(len(part) / len(dataset) - share) < 0.02


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (1.2, -0.1, -0.1), (0.7, None, None)], ids=str)
def test_split_refuses_shares_that_are_none(dataset: TaskDataset, shares: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="sum to 1"):
        dataset.split(*shares)


def test_exports_hold_the_rows(dataset: TaskDataset, tmp_path: Path) -> None:
    lines = dataset.export_jsonl(tmp_path / "deep" / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    listed = json.loads(dataset.export_json(tmp_path / "rows.json").read_text(encoding="utf-8"))
    assert [json.loads(line) for line in lines] == listed
    assert [row["input"] for row in listed] == dataset.examples["input"].to_list()
    assert pq.read_table(dataset.export_parquet(tmp_path / "rows.parquet")).num_rows == len(dataset)
    assert json.loads(dataset.export_stats(tmp_path / "stats.json").read_text()) == dataset.stats


def test_exports_are_byte_equal_to_a_build(tmp_path: Path) -> None:
    config = DatasetConfig(examples_per_category=5)
    ruvtab.build(config, tmp_path / "out")
    dataset = generate(config)
    for name, export in (
        ("jsonl/claude_training_full.jsonl", dataset.export_jsonl),
        ("claude_training_full.json", dataset.export_json),
    ):
        assert export(tmp_path / "export").read_bytes() == (tmp_path / "out" / name).read_bytes()


def test_an_export_that_cannot_be_written_says_so(dataset: TaskDataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        dataset.export_parquet(tmp_path / "file" / "rows.parquet")


def test_arrow_takes_it_as_it_is(dataset: TaskDataset) -> None:
    assert pa.table(dataset).num_rows == len(dataset)
    assert pl.DataFrame(dataset).equals(dataset.examples)


def test_keywords_and_config_make_the_same_rows() -> None:
    assert generate(rows=60, seed=3).examples.equals(generate(DatasetConfig(rows=60, seed=3)).examples)
    with pytest.raises(ConfigError, match="not both"):
        generate(DatasetConfig(), rows=3)


def test_ids_hold_for_texts_longer_than_any_usual_one(tmp_path: Path) -> None:
    files = small_pack()
    files["vocabulary/person.csv"] = files["vocabulary/person.csv"].replace("the owner", "the owner of " + "x" * 9000)
    examples = generate(pack=write_pack(tmp_path / "pack", files), rows=200).examples
    assert examples["context"].str.len_bytes().max() > 9000  # type: ignore[operator]
    assert [ruvtab.row_id(i, c) for i, c in examples.select("input", "context").rows()] == examples["id"].to_list()

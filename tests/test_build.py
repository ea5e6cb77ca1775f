"""A built folder: what is in it, that it is the same whatever builds it, and that other tools open it."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ruvtab
from ruvtab.builder import build, scan
from ruvtab.config import config_of
from ruvtab.prepare import prepared
from ruvtab.render import row_id
from ruvtab.schema import SCHEMA
from ruvtab.verify import verify
from ruvtab.write import record

FILES = {
    "README.md",
    "claude_training_full.json",
    "claude_training_stats.json",
    "data/train-00000-of-00001.parquet",
    "data/validation-00000-of-00001.parquet",
    "data/test-00000-of-00001.parquet",
    "jsonl/claude_training_full.jsonl",
    "jsonl/claude_training_train.jsonl",
    "jsonl/claude_training_val.jsonl",
    "jsonl/claude_training_test.jsonl",
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built") / "dataset"
    build(out=folder)
    return folder


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def flat(row: dict[str, Any]) -> dict[str, Any]:
    return {**{k: v for k, v in row.items() if k != "metadata"}, **row["metadata"]}


def contents(folder: Path) -> dict[str, str]:
    manifest = json.loads((folder / "manifest.json").read_text())
    return {entry["name"]: entry["sha256"] for entry in manifest["files"]} | {"content": manifest["content_hash"]}


def test_the_manifest_names_every_file_with_its_rows_bytes_and_hash(out: Path) -> None:
    manifest = json.loads((out / "manifest.json").read_text())
    assert {entry["name"] for entry in manifest["files"]} == FILES
    assert {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} == FILES | {"manifest.json"}
    for entry in manifest["files"]:
        data = (out / entry["name"]).read_bytes()
        assert (len(data), sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"])
    assert verify(out) == []


def test_jsonl_is_what_json_dumps_would_write(out: Path) -> None:
    text = (out / "jsonl/claude_training_full.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    dumped = [json.dumps(record(flat(row)), ensure_ascii=False, separators=(",", ":")) for row in rows]
    assert text == "\n".join(dumped) + "\n"


def test_all_formats_hold_the_same_rows(out: Path) -> None:
    listed = json.loads((out / "claude_training_full.json").read_text(encoding="utf-8"))
    full = lines_of(out / "jsonl/claude_training_full.jsonl")
    assert listed == full
    for split, short in (("train", "train"), ("validation", "val"), ("test", "test")):
        part = lines_of(out / f"jsonl/claude_training_{short}.jsonl")
        assert part == [row for row in full if row["split"] == split]
        df = pl.read_parquet(out / f"data/{split}-*.parquet").with_columns(
            pl.col("quality_score").cast(pl.Float64).round(4)
        )
        assert [flat(row) for row in part] == df.select(list(flat(part[0]))).to_dicts()


def test_ids_are_hashes_of_the_text(out: Path) -> None:
    for row in lines_of(out / "jsonl/claude_training_full.jsonl"):
        assert row["id"] == row_id(row["input"], row["context"])


def test_stats_are_counts_of_the_rows(out: Path) -> None:
    stats = json.loads((out / "claude_training_stats.json").read_text())
    df = pl.read_parquet(out / "data/*.parquet")
    for column in ("category", "complexity", "domain", "expected_model", "origin", "split"):
        assert stats["counts"][column] == dict(df.group_by(column).len().rows())
    assert (
        stats["cross"]["category x complexity"]["Coder"]["Simple"]
        == df.filter(pl.col("category") == "Coder", pl.col("complexity") == "Simple").height
    )
    assert stats["mean_quality"] == pytest.approx(df["quality_score"].cast(pl.Float64).mean(), abs=1e-4)


@pytest.mark.parametrize(
    "how",
    [{"chunk_rows": 1000}, {"chunk_rows": 777, "threads": 1}, {"chunk_rows": 65_536, "threads": 3}],
    ids=["small chunks", "one thread", "three threads"],
)
def test_chunks_and_threads_change_no_byte(how: dict[str, int], tmp_path: Path) -> None:
    config = config_of({"rows": 20_000})
    build(config, tmp_path / "one", chunk_rows=4096, threads=2)
    build(config, tmp_path / "other", **how)
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_a_seed_changes_the_rows_and_nothing_else_does(small: Path, tmp_path: Path) -> None:
    hashes = [
        build(config_of({"rows": 500, "pack": small, "seed": seed}), tmp_path / f"{i}")["content_hash"]
        for i, seed in enumerate((1, 1, 2))
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_cache_of_packs_changes_nothing(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of({"rows": 700, "pack": small})
    monkeypatch.setenv("RUVTAB_CACHE", "")
    plain = build(config, tmp_path / "none")["content_hash"]
    monkeypatch.setenv("RUVTAB_CACHE", str(tmp_path / "cache"))
    first, second = (build(config, tmp_path / name)["content_hash"] for name in ("cold", "warm"))
    (entry,) = (tmp_path / "cache").glob("*.npz")
    assert plain == first == second
    assert prepared(small)[1].pool.equals(prepared(small)[1].pool)
    entry.write_bytes(entry.read_bytes()[:1000])
    assert build(config, tmp_path / "damaged")["content_hash"] == plain


def test_a_changed_pack_is_not_taken_from_the_cache(
    make_pack: Any, pack_files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUVTAB_CACHE", str(tmp_path / "cache"))
    root = make_pack(pack_files)
    before = ruvtab.generate(pack=root, rows=300).examples
    table = root / "vocabulary" / "person.csv"
    table.write_text(table.read_text().replace("Ada", "Zoe"))
    after = ruvtab.generate(pack=root, rows=300).examples
    assert before["input"].str.contains("Ada").any()
    assert not after["input"].str.contains("Ada").any()


def test_duckdb_pandas_polars_and_pyarrow_read_the_parquet(out: Path) -> None:
    pattern = str(out / "data/*.parquet")
    n = duckdb.sql(
        f"select count(*) from '{pattern}' where complexity = 'Complex' and category = 'Security'"
    ).fetchall()
    wanted = (pl.col("complexity") == "Complex") & (pl.col("category") == "Security")
    assert n == [(pl.scan_parquet(pattern).filter(wanted).collect().height,)]
    assert len(pd.read_parquet(out / "data")) == 2700
    read = pq.read_table(out / "data/train-00000-of-00001.parquet")
    assert read.schema.remove_metadata() == SCHEMA
    assert {str(t) for t in read.schema.types} == {"string", "float", "list<element: string>"}


def test_scan_streams_the_rows_of_the_build(out: Path) -> None:
    reader = scan(chunk_rows=500)
    assert isinstance(reader, pa.RecordBatchReader)
    df = pl.DataFrame(pl.from_arrow(reader.read_all()))
    built = lines_of(out / "jsonl/claude_training_full.jsonl")
    assert df["id"].to_list() == [row["id"] for row in built]
    assert duckdb.from_arrow(scan()).count("*").fetchall() == [(2700,)]


def test_scan_can_be_left_half_way() -> None:
    reader = scan(config_of({"rows": 100_000}), chunk_rows=1000)
    assert reader.read_next_batch().num_rows == 1000
    reader.close()

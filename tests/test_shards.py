"""Shards joined are the whole; a stopped or harmed build is completed by the same command, by nothing else."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from shell import RUVTAB, content, here

from ruvtab import DatasetConfig, build
from ruvtab.errors import ConfigError, OutputError
from ruvtab.partial import PARTIAL
from ruvtab.shard import Layout

ROWS = 1080


@pytest.fixture(scope="module")
def sharded(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sharded") / "out"
    here("build", out, "--pack", small, "--shard-rows", 250, "--formats", "jsonl,parquet")
    return out


def lines(folder: Path, part: str) -> bytes:
    return b"".join(path.read_bytes() for path in sorted((folder / "jsonl").glob(f"claude_training_{part}*.jsonl")))


def test_shards_joined_are_the_whole(built: Path, sharded: Path) -> None:
    whole, parts = (json.loads((p / "manifest.json").read_text()) for p in (built, sharded))
    assert {e["name"] for e in parts["files"] if "full" in e["name"]} == {
        f"jsonl/claude_training_full-{i:05d}-of-00005.jsonl" for i in range(5)
    }
    for part in ("full", "train", "val", "test"):
        assert lines(sharded, part) == lines(built, part)
    rows = [pl.read_parquet(p / "data/*.parquet").sort("id") for p in (built, sharded)]
    assert rows[0].equals(rows[1])
    assert [whole[k] == parts[k] for k in ("content_hash", "fingerprint", "stats")] == [True] * 3


def test_a_sharded_dataset_verifies(small: Path, sharded: Path) -> None:
    assert "rows match" in here("verify", sharded, "--pack", small)
    assert not (sharded / PARTIAL).exists()


def test_compressed_lines_are_the_same_lines(small: Path, built: Path, tmp_path: Path) -> None:
    here("build", tmp_path / "out", "--pack", small, "--compress", "--formats", "jsonl")
    packed = (tmp_path / "out/jsonl/claude_training_full.jsonl.zst").read_bytes()
    with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
        assert stream.read() == lines(built, "full")
    assert "rows match" in here("verify", tmp_path / "out", "--pack", small)


def test_a_build_goes_on_with_what_is_missing(small: Path, sharded: Path, tmp_path: Path) -> None:
    """Two of five shards are there, and one of them is cut off: three are made, and the one again."""
    out = tmp_path / "out"
    config, made = DatasetConfig(pack=small, examples_per_category=100), list[int]()

    class StoppedError(Exception):
        pass

    def stop_after_two(done: int, total: int) -> None:
        made.append(done)
        if done > 500:
            raise StoppedError

    settings = {"formats": ["jsonl", "parquet"], "shard_rows": 250}
    with pytest.raises(StoppedError):
        build(config, out, progress=stop_after_two, **settings)
    assert sorted(p.name for p in (out / PARTIAL / "shards").iterdir()) == ["00000.json", "00001.json"]
    cut = out / PARTIAL / "data/train-00001-of-00005.parquet"
    cut.write_bytes(cut.read_bytes()[:-1])
    kept = (out / PARTIAL / "data/train-00000-of-00005.parquet").stat().st_mtime_ns
    manifest = build(config, out, **settings)
    assert (out / "data/train-00000-of-00005.parquet").stat().st_mtime_ns == kept
    assert manifest["content_hash"] == json.loads((sharded / "manifest.json").read_text())["content_hash"]
    assert content(out) == content(sharded)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"--seed": 7}, "seed 42 there, 7 here"),
        ({"--shard-rows": 300}, "shard_rows 250 there, 300 here"),
        ({"--formats": "parquet"}, "formats ['jsonl', 'parquet'] there, ['parquet'] here"),
    ],
    ids=["seed", "shard rows", "formats"],
)
@pytest.mark.parametrize("unfinished", [False, True], ids=["finished", "unfinished"])
def test_another_build_is_refused_with_what_differs(
    small: Path, sharded: Path, tmp_path: Path, change: dict[str, object], told: str, unfinished: bool
) -> None:
    out = Path(shutil.copytree(sharded, tmp_path / "out"))
    if unfinished:
        identity = json.loads((out / "manifest.json").read_text())
        names = ("fingerprint", "config", "pack", "versions", "layout")
        shutil.rmtree(out)
        (out / PARTIAL).mkdir(parents=True)
        (out / PARTIAL / "build.json").write_text(json.dumps({name: identity[name] for name in names}))
    before = content(out)
    options = {"--pack": small, "--shard-rows": 250, "--formats": "jsonl,parquet"} | change
    assert told in here("build", out, *(word for option in options.items() for word in option), code=2)
    assert content(out) == before


def test_a_finished_dataset_is_mended_where_it_was_harmed(small: Path, sharded: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(sharded, tmp_path / "out"))
    same = ("--pack", small, "--shard-rows", 250, "--formats", "jsonl,parquet")
    assert "nothing was left to make" in here("build", out, *same)
    harmed = out / "jsonl/claude_training_val-00003-of-00005.jsonl"
    harmed.write_bytes(harmed.read_bytes().replace(b"e", b"x", 1))
    (out / "data/test-00001-of-00005.parquet").unlink()
    (out / "README.md").write_text("gone")
    here("build", out, *same)
    assert content(out) == content(sharded)


def test_layouts_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be sharded"):
        Layout(1000, ("json",), 10)
    with pytest.raises(ConfigError, match="too many"):
        Layout(10**9, ("parquet",), 10)


def test_a_full_disk_keeps_the_shards_that_are_whole(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ruvtab import builder

    real, calls = builder.write_shard, list[int]()

    def full_at_the_third(*arguments: object, **named: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(builder, "write_shard", full_at_the_third)
    config = DatasetConfig(pack=small, examples_per_category=100)
    with pytest.raises(OutputError, match="2 of 5 shards are kept, the same command goes on from there"):
        build(config, tmp_path / "out", formats=["parquet"], shard_rows=250)
    assert build(config, tmp_path / "out", formats=["parquet"], shard_rows=250)["rows"] == ROWS
    assert len(calls) == 6


def test_kills_at_random_moments_cost_nothing_but_time(small: Path, sharded: Path, tmp_path: Path) -> None:
    out, draw = tmp_path / "out", random.Random(5)
    command = [*RUVTAB, "build", str(out), "--pack", str(small), "--shard-rows", "250", "--formats", "jsonl,parquet"]
    for _ in range(10):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(draw.uniform(0.2, 0.9))
            process.send_signal(signal.SIGKILL)
    subprocess.run(command, check=True, capture_output=True)
    assert content(out) == content(sharded)


def test_parts_made_at_the_same_time_are_merged(small: Path, sharded: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    same = ("--pack", str(small), "--shard-rows", "250", "--formats", "jsonl,parquet")
    commands = [[*RUVTAB, "build", str(out), *same, "--shard", f"{i}/3"] for i in (2, 3)]
    running = [subprocess.Popen(c, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for c in commands]
    assert [process.communicate(timeout=60)[1] for process in running] == [b"", b""]
    assert "2 of 5 shards are missing (0, 3)" in here("merge", out, "--pack", small, code=2)
    assert "When all parts are made" in here("build", out, *same, "--shard", "1/3")
    assert "1,080 rows" in here("merge", out, "--pack", small)
    assert content(out) == content(sharded)
    assert "no build that was begun" in here("merge", out, "--pack", small, code=2)


@pytest.mark.parametrize(
    ("part", "told"),
    [("0/2", "numbered from 1"), ("3/2", "numbered from 1"), ("1/9", "as many as shards"), ("half", "write it as I/N")],
)
def test_parts_that_cannot_be_are_refused(small: Path, tmp_path: Path, part: str, told: str) -> None:
    said = here(
        "build", tmp_path / "out", "--pack", small, "--shard-rows", 250, "--formats", "jsonl", "--shard", part, code=2
    )
    assert told in said
    assert list(tmp_path.iterdir()) == []


def test_merging_with_another_pack_is_refused_and_keeps_the_parts(small: Path, sharded: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(sharded, tmp_path / "out"))
    same = ("--pack", small, "--seed", 3, "--shard-rows", 250, "--formats", "parquet", "--overwrite")
    here("build", out, *same, "--shard", "1/2")
    before = content(out)
    other = Path(shutil.copytree(small, tmp_path / "other"))
    with (other / "pack.toml").open("a") as file:
        file.write("# changed\n")
    assert "hash" in here("merge", out, "--pack", other, code=2)
    assert content(out) == before

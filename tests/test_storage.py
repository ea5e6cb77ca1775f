"""Object storage, as moto's server plays it: the same files as in a folder, and no dataset before the manifest."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import fs
from shell import content, here

from ruvtab import ConfigError, DatasetConfig, OutputError, build
from ruvtab.manifest import MANIFEST
from ruvtab.partial import PARTIAL

moto = pytest.importorskip("moto.server", reason="moto is not installed: pip install 'moto[server]'")

SAME = ("--shard-rows", "250", "--formats", "jsonl,parquet")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    server.stop()


@pytest.fixture
def options(endpoint: str) -> dict[str, str]:
    return {
        "aws_access_key_id": "key",
        "aws_secret_access_key": "word",
        "region": "us-east-1",
        "aws_endpoint_url": endpoint,
    }


@pytest.fixture
def bucket(options: dict[str, str], request: pytest.FixtureRequest) -> fs.FileSystem:
    """The file system below a new bucket, named after the test."""
    host = options["aws_endpoint_url"].removeprefix("http://")
    system = fs.S3FileSystem(
        access_key="key", secret_key="word", endpoint_override=host, scheme="http", allow_bucket_creation=True
    )
    name = request.node.name.replace("_", "-").replace("[", "-").strip("]")[:40].strip("-").lower()
    system.create_dir(name)
    return fs.SubTreeFileSystem(name, system)


def url(bucket: fs.SubTreeFileSystem) -> str:
    return f"s3://{bucket.base_path.strip('/')}/sets/mine"


def files(bucket: fs.FileSystem) -> dict[str, bytes]:
    found = bucket.get_file_info(fs.FileSelector("sets/mine", recursive=True, allow_not_found=True))
    names = [info.path for info in found if info.type == fs.FileType.File]
    return {name.removeprefix("sets/mine/"): bucket.open_input_stream(name).read() for name in names}


def flags(options: dict[str, str]) -> list[str]:
    return [word for name, value in options.items() for word in ("--storage-option", f"{name}={value}")]


def test_a_bucket_gets_the_files_a_folder_gets(
    small: Path, bucket: fs.FileSystem, options: dict[str, str], tmp_path: Path
) -> None:
    here("build", tmp_path / "out", "--pack", small, *SAME)
    here("build", url(bucket), "--pack", small, *SAME, *flags(options))
    assert files(bucket) == content(tmp_path / "out")
    said = here("build", url(bucket), "--pack", small, *SAME, *flags(options))
    assert "nothing was left to make" in said
    said = here("build", url(bucket), "--pack", small, "--seed", 3, *SAME, *flags(options), code=2)
    assert "holds a dataset of another config: seed 42 there, 3 here" in said
    here("build", url(bucket), "--pack", small, "--seed", 3, *SAME, *flags(options), "--overwrite")
    assert json.loads(files(bucket)[MANIFEST])["config"]["seed"] == 3
    here("build", url(bucket), "--pack", small, "--formats", "parquet", *flags(options), "--overwrite")
    listed = {entry["name"] for entry in json.loads(files(bucket)[MANIFEST])["files"]}
    assert set(files(bucket)) == {MANIFEST, *listed}


def test_a_connection_cut_leaves_no_dataset_and_the_same_call_goes_on(
    small: Path, bucket: fs.FileSystem, options: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ruvtab import storage

    config = DatasetConfig(pack=small)
    settings = {"shard_rows": 250, "formats": ["jsonl", "parquet"], "storage_options": options}
    real, calls = storage._Store.put, list[str]()

    def cut(self: storage._Store, file: Path, name: str) -> None:
        calls.append(name)
        if len(calls) == 18:  # seven files a shard: in the middle of the third
            raise OSError("When completing a part: curlCode: 56, Failure when receiving data from the peer")
        real(self, file, name)

    monkeypatch.setattr(storage._Store, "put", cut)
    with pytest.raises(OutputError, match="2 of 5 shards are there and kept, the same command goes on"):
        build(config, url(bucket), **settings)
    assert MANIFEST not in files(bucket)
    build(config, url(bucket), **settings)
    assert len(calls) == 18 + 3 * 7 + 2
    here("build", tmp_path / "out", "--pack", small, *SAME)
    assert files(bucket) == content(tmp_path / "out")
    assert not any(name.startswith(PARTIAL) for name in files(bucket))


def test_a_bucket_that_is_not_there_is_told(small: Path, options: dict[str, str]) -> None:
    said = here("build", "s3://no-such-bucket/x", "--pack", small, *flags(options), code=2)
    assert "s3://no-such-bucket/x: cannot be written" in said
    assert "look at bucket, credentials" in said


def test_an_endpoint_that_does_not_answer_is_told(small: Path, options: dict[str, str]) -> None:
    dead = options | {"aws_endpoint_url": "http://127.0.0.1:9"}
    assert "cannot be written" in here("build", "s3://bucket/x", "--pack", small, *flags(dead), code=2)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("s3://b/x", "--storage-option", "region"), "KEY=VALUE"),
        (("s3://b/x", "--storage-option", "colour=red"), "colour"),
        (("gs://b/x", "--storage-option", "region=x"), "are for s3:// only"),
        (("bogus://b/x",), "bogus"),
    ],
    ids=["no value", "unknown", "other storage", "unknown scheme"],
)
def test_wrong_options_are_told(small: Path, arguments: tuple[str, ...], told: str) -> None:
    assert told in here("build", *arguments, "--pack", small, code=2)


def test_options_for_a_folder_are_refused(small: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        build(DatasetConfig(pack=small), tmp_path / "out", storage_options={"region": "x"})

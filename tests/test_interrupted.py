"""Builds that are refused, stopped or out of room leave what was there; verify finds what was harmed."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from packs import small_pack, write_pack
from shell import RUVTAB, content, here

PARQUET = "data/train-00000-of-00001.parquet"
LINES = "jsonl/claude_training_full.jsonl"
SIGINT_RAISES = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "


@pytest.fixture
def dataset(built: Path, tmp_path: Path) -> Path:
    """A dataset of the small pack, to harm."""
    return Path(shutil.copytree(built, tmp_path / "dataset"))


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack that can say enough for builds that take long enough to be stopped."""
    names = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "dgklmnprst"]
    things = "".join(
        f"{domain},{start}{n},some {start}{n}s,all {start}{n}s\n"
        for domain, start in (("Kitchen", "co"), ("Garden", "tra"))
        for n in names
    )
    people = "".join(f",{name.capitalize()},the {name}er\n" for name in names)
    files = small_pack() | {
        "vocabulary/thing.csv": f"domain,noun,some,all\n{things}",
        "vocabulary/person.csv": f"domain,name,role\n{people}",
    }
    return write_pack(tmp_path_factory.mktemp("big"), files)


def stopped(signal_number: int, out: Path, *options: object) -> subprocess.CompletedProcess[str]:
    """Start a build and send it a signal as soon as rows are written."""
    script = SIGINT_RAISES + "from ruvtab.cli import main; main()"
    command = [sys.executable, "-c", script, "build", str(out), *map(str, options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not any(p.stat().st_size for p in out.glob(f".*/{LINES}")):
            time.sleep(0.002)
        process.send_signal(signal_number)
        said, complained = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, said, complained)


LONG = ("--rows", 300_000, "--formats", "jsonl")


def test_a_killed_build_leaves_no_manifest_and_the_same_command_mends_it(big: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert stopped(signal.SIGKILL, out, "--pack", big, *LONG).returncode == -signal.SIGKILL
    assert [path.name for path in out.iterdir()] == [".ruvtab-partial"]
    assert "not a finished dataset" in here("verify", out, "--pack", big, code=2)
    assert "an unfinished build of another config" in here("build", out, "--pack", big, "-n", 9, code=2)
    here("build", out, "--pack", big, *LONG)
    assert here("verify", out, "--pack", big)
    assert not (out / ".ruvtab-partial").exists()


def test_an_interrupted_build_leaves_nothing_and_says_so(big: Path, tmp_path: Path) -> None:
    done = stopped(signal.SIGINT, tmp_path / "out", "--pack", big, *LONG)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "ruvtab: interrupted; nothing half-made was left behind. Run the same command again\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["SIGINT", "SIGTERM", "SIGKILL"]
)
def test_a_stopped_overwrite_leaves_the_old_dataset(big: Path, small: Path, dataset: Path, signal_number: int) -> None:
    old = content(dataset)
    assert stopped(signal_number, dataset, "--pack", big, *LONG, "--overwrite").returncode
    left = {name: data for name, data in content(dataset).items() if not name.startswith(".ruvtab-partial/")}
    assert left == old
    assert here("verify", dataset, "--pack", small)
    here("build", dataset, "--pack", small, "--seed", 3, "--overwrite")
    assert not (dataset / ".ruvtab-partial").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=1777", "none", str(disk)]
    why = f"{sys.platform} has no tmpfs"
    for sudo in ([], ["sudo", "-n"]) if sys.platform == "linux" else ():
        try:
            done = subprocess.run([*sudo, *mount], capture_output=True, text=True, timeout=20, check=False)
        except FileNotFoundError as error:
            why = str(error)
            continue
        if done.returncode == 0:
            yield disk
            subprocess.run([*sudo, "umount", "-l", str(disk)], timeout=20, check=True)
            return
        why = done.stderr.strip()
    if os.environ.get("CI") and sys.platform == "linux":
        pytest.fail(f"CI must be able to mount a tmpfs: {why}")
    pytest.skip(f"a tmpfs cannot be mounted here: {why}")


def test_a_build_on_a_full_disk_says_so_and_leaves_nothing(small: Path, small_disk: Path) -> None:
    said = here("build", small_disk / "out", "--pack", small, code=2)
    assert said == (
        f"ruvtab: {small_disk / 'out'}: cannot be written: No space left on device; nothing is left behind. "
        "Free space, or name another folder\n"
    )
    assert list(small_disk.iterdir()) == []


def test_an_overwrite_on_a_full_disk_leaves_the_old_dataset(small: Path, small_disk: Path) -> None:
    out = small_disk / "out"
    here("build", out, "--pack", small, "-n", 20)
    old = content(out)
    said = here("build", out, "--pack", small, "--overwrite", code=2)
    assert "No space left on device; the dataset that was there is untouched" in said
    assert content(out) == old
    assert here("verify", out, "--pack", small)


def test_a_file_that_may_not_grow_stops_an_overwrite_and_leaves_the_old_dataset(small: Path, dataset: Path) -> None:
    old = content(dataset)
    build = shlex.join([*RUVTAB, "build", str(dataset), "--pack", str(small), "--seed", "3", "--overwrite"])
    done = subprocess.run(
        ["sh", "-c", f"ulimit -f 100; exec {build}"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        f"ruvtab: {dataset}: cannot be written: File too large; the dataset that was there is"
    )
    assert content(dataset) == old


def test_a_file_in_the_way_is_refused_and_kept(small: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    assert "out is a file; name a folder to build into" in here("build", tmp_path / "out", "--pack", small, code=2)
    said = here("build", tmp_path / "out/deep", "--pack", small, code=2)
    assert "deep: cannot be written: Not a directory; nothing is left behind" in said
    assert content(tmp_path) == {"out": b"mine"}


def test_a_folder_that_may_not_be_written_is_refused(small: Path, small_disk: Path) -> None:
    """A disk mounted read-only: root, as which CI runs, may write into any folder whatever its mode."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    subprocess.run([*sudo, "mount", "-o", "remount,ro", str(small_disk)], timeout=20, check=True)
    assert "cannot be written: Read-only file system" in here("build", small_disk / "out", "--pack", small, code=2)
    assert "cannot be written: Read-only file system" in here("build", small_disk, "--pack", small, code=2)
    assert list(small_disk.iterdir()) == []


def test_a_folder_in_use_is_refused_and_unharmed(small: Path, dataset: Path, tmp_path: Path) -> None:
    old = content(tmp_path)
    said = here("build", dataset, "--pack", small, "--seed", 3, code=2)
    assert "holds a dataset of another config: seed 42 there, 3 here. --overwrite begins anew" in said
    assert content(tmp_path) == old
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    said = here("build", tmp_path / "mine", "--pack", small, code=2)
    assert "is not empty, it holds notes.txt: --overwrite replaces the dataset in it; or name another folder" in said
    assert content(tmp_path / "mine") == {"notes.txt": b"mine"}


def test_overwrite_replaces_the_old_files_and_keeps_what_is_not_its_own(small: Path, dataset: Path) -> None:
    (dataset / "notes.txt").write_text("mine")
    here("build", dataset, "--pack", small, "--seed", 3, "--formats", "jsonl", "--overwrite")
    files = content(dataset)
    manifest = json.loads(files["manifest.json"])
    assert manifest["config"]["seed"] == 3
    assert set(files) == {"manifest.json", "notes.txt", *(entry["name"] for entry in manifest["files"])}
    assert not [name for name in files if name.endswith((".parquet", "_full.json"))]
    assert here("verify", dataset, "--pack", small)


def test_overwrite_replaces_a_dataset_with_a_broken_manifest(small: Path, dataset: Path) -> None:
    (dataset / "manifest.json").write_text("{")
    assert "build the dataset again with --overwrite" in here("verify", dataset, "--pack", small, code=2)
    here("build", dataset, "--pack", small, "--overwrite")
    assert here("verify", dataset, "--pack", small)


def test_overwrite_removes_nothing_outside_the_folder(small: Path, dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    manifest = json.loads((dataset / "manifest.json").read_text())
    manifest["files"].append({"name": "../mine.txt", "rows": 0, "bytes": 4, "sha256": ""})
    (dataset / "manifest.json").write_text(json.dumps(manifest))
    subprocess.run([*RUVTAB, "build", dataset, "--pack", small, "--overwrite"], capture_output=True, check=False)
    assert "mine.txt" in content(tmp_path)


def test_an_overwrite_that_cannot_move_its_files_leaves_the_old_dataset(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    here("build", out, "--pack", small, "--formats", "jsonl")
    (out / "data").write_text("mine, and where Parquet files would go")
    old = content(out)
    here("build", out, "--pack", small, "--seed", 3, "--overwrite", code=2)
    assert content(out) == old


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _alter(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data.replace(data[60:70], bytes(reversed(data[60:70])), 1))


@pytest.mark.parametrize("name", [PARQUET, LINES, "README.md"])
@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (_cut, "bytes, the manifest says"),
        (_alter, "its content has changed (sha256 differs)"),
        (Path.unlink, "is missing"),
    ],
    ids=["truncated", "altered", "missing"],
)
def test_verify_finds_a_harmed_file(
    small: Path, dataset: Path, name: str, harm: Callable[[Path], None], says: str
) -> None:
    harm(dataset / name)
    said = here("verify", dataset, "--pack", small, code=1)
    assert said.startswith(f"{name}: ")
    assert said.count("\n") == 1
    assert says in said


def test_verify_finds_a_changed_pack_and_every_problem_at_once(small: Path, dataset: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(small, tmp_path / "changed"))
    days = changed / "vocabulary/day.csv"
    days.write_text(days.read_text() + ",tonight\n")
    (dataset / "README.md").unlink()
    told = json.loads(here("verify", dataset, "--pack", changed, "--json", code=1))
    assert told["ok"] is False
    assert [problem.split(": ")[0] for problem in told["problems"]] == ["README.md", "rows cannot be rendered anew"]
    assert "its pack was small 1 (" in told["problems"][1]
    assert "give the pack with --pack" in told["problems"][1]


def test_verify_finds_rows_that_the_config_does_not_give(small: Path, dataset: Path) -> None:
    manifest = json.loads((dataset / "manifest.json").read_text())
    names = {entry["name"]: entry for entry in manifest["files"]}
    other = dataset.with_name("other")
    here("build", other, "--pack", small, "--seed", 3)
    made = {entry["name"]: entry for entry in json.loads((other / "manifest.json").read_text())["files"]}
    for name in [name for name in names if name.endswith(".parquet")]:
        shutil.copy(other / name, dataset / name)
        names[name].update(made[name])
    (dataset / "manifest.json").write_text(json.dumps(manifest))
    assert "of the config is not in the files" in here("verify", dataset, "--pack", small, code=1)


@pytest.mark.parametrize("formats", ["jsonl", "json", "parquet"])
def test_verify_reads_rows_of_every_format(small: Path, tmp_path: Path, formats: str) -> None:
    here("build", tmp_path / "out", "--pack", small, "--formats", formats)
    assert here("verify", tmp_path / "out", "--pack", small, "--sample", 500)


def test_verify_of_files_alone_samples_no_rows(small: Path, built: Path) -> None:
    assert here("verify", built, "--pack", small, "--sample", 0)

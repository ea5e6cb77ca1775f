"""House rules: imports go one way, no row loops, no label in code; the README's blocks run; the wheel works."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packs import small_pack, write_pack

from ruvtab.prepare import prepared

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "ruvtab").glob("*.py"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
BANNED = re.compile(r"map_elements|iter_rows|\.apply\(|\.hash\(|\.shuffle\(|\.sample\(|for row in")


def imports_of(module: Path) -> set[str]:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ruvtab."):
            found.add(node.module.removeprefix("ruvtab."))
        elif isinstance(node, ast.ImportFrom) and node.module == "ruvtab":
            found |= {alias.name for alias in node.names} & {path.stem for path in MODULES}
    return found


def test_imports_go_one_way() -> None:
    graph = {path.stem: imports_of(path) for path in MODULES if path.stem not in {"__init__", "__main__"}}
    while graph:
        free = {name for name, needs in graph.items() if not needs & set(graph)}
        assert free, f"these import each other: {sorted(graph)}"
        graph = {name: needs for name, needs in graph.items() if name not in free}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_modules_are_short_and_without_banned_calls(module: Path) -> None:
    text = module.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 300
    assert not BANNED.search(text)


def test_no_label_of_the_pack_stands_in_code() -> None:
    taxonomy = prepared()[0].taxonomy
    agents = [category.agent for category in taxonomy.categories.values()]
    labels = [*taxonomy.categories, *taxonomy.levels, *taxonomy.domains, *taxonomy.models, *agents]
    quoted = re.compile("[\"'](" + "|".join(map(re.escape, labels)) + ")[\"']")
    assert {path.name: quoted.findall(path.read_text()) for path in MODULES if quoted.search(path.read_text())} == {}


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def test_the_readmes_python_runs(tmp_path: Path) -> None:
    run = [sys.executable, "-W", "error", "-c"]
    subprocess.run([sys.executable, "-m", "ruvtab", "build", "dataset"], cwd=tmp_path, check=True, capture_output=True)
    assert len(blocks("python")) == 2
    for code in blocks("python"):
        subprocess.run([*run, code], cwd=tmp_path, check=True, capture_output=True)


def test_the_readmes_config_and_family_are_sound(tmp_path: Path) -> None:
    config, family = blocks("toml")
    (tmp_path / "my.toml").write_text(config.replace("50_000", "500"))
    done = subprocess.run(
        [sys.executable, "-m", "ruvtab", "plan", "--config", "my.toml", "--json"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    assert b'"rows": 500' in done.stdout
    names = {"families/mine.toml": family.replace("(Ticket|See) {ref.ticket}.", "(Ticket|See) it.")}
    vocabulary = {
        f"vocabulary/{t}.csv": (ROOT / f"data/en/vocabulary/{t}.csv").read_text() for t in ("failure", "product")
    }
    rest = {name: (ROOT / "data/en" / name).read_text() for name in ("pack.toml", "taxonomy.toml")}
    others = re.compile(r"\n\[categories\.(?!Coder)\w+\]\n(?:.+\n)+")
    rest["taxonomy.toml"] = others.sub("\n", rest["taxonomy.toml"])
    root = write_pack(tmp_path / "pack", names | vocabulary | rest)
    done = subprocess.run([sys.executable, "-m", "ruvtab", "check", root], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_readmes_commands_exist() -> None:
    commands = {shlex.split(c)[1] for c in re.findall(r"`(ruvtab [^`]+)`", README)}
    assert commands == {"build", "preview", "plan", "check", "verify", "audit", "evaluate", "route", "merge"}


def test_the_readmes_sample_row_is_a_row(tmp_path: Path) -> None:
    (sample,) = blocks("json")
    subprocess.run(
        [sys.executable, "-m", "ruvtab", "build", "out", "--formats", "jsonl"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    assert (
        sample.strip() in (tmp_path / "out/jsonl/claude_training_full.jsonl").read_text(encoding="utf-8").splitlines()
    )


def test_the_wheel_brings_its_data_and_works(tmp_path: Path) -> None:
    source = tmp_path / "source"
    ignored = (".git", ".venv", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*ignored))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", tmp_path / "dist", source], check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    subprocess.run(
        [*pip, "install", "--no-deps", "--target", tmp_path / "site", wheel], check=True, capture_output=True
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site"), "RUVTAB_CACHE": ""}
    where = "import ruvtab, pathlib; print(pathlib.Path(ruvtab.__file__).parent)"
    run = [sys.executable, "-P", "-c"]
    found = subprocess.run([*run, where], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert found.stdout.strip() == str(tmp_path / "site" / "ruvtab")
    built = "from ruvtab.cli import main; main(['build', 'out', '--json'])"
    subprocess.run([*run, built], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert (tmp_path / "out" / "manifest.json").exists()


def test_a_pack_needs_no_columns_file(tmp_path: Path) -> None:
    files = {name: text for name, text in small_pack().items() if not name.endswith("columns.toml")}
    assert len(prepared(write_pack(tmp_path / "pack", files))[0].families) == 4

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from packs import Files
from shell import RUVTAB, content, here, run

from ruvtab import cli, judge

FUNCTIONS = (
    cli.build,
    cli.merge,
    cli.preview,
    cli.plan,
    judge.check,
    judge.verify,
    judge.audit,
    judge.evaluate,
    judge.route,
)
COMMANDS = {function.__name__: function for function in FUNCTIONS}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["preview", "--n", "2", "--pack"], "2 of 1,080 planned rows"),
        (
            ["preview", "--category", "Tidy", "--level", "Hard", "--domain", "Garden", "--pack"],
            "Tidy · Hard · Garden → ti",
        ),
        (["preview", "--family", "cook.cool", "--row", "4", "--pack"], "of 1,080 planned rows"),
        (
            ["plan", "--pack"],
            "4 families, 12 templates, 8 cells in 2 domains at 3 levels; the pack can say 18,432 diff",
        ),
        (["plan", "--cells", "--no-augmentation", "--pack"], "Quotas: 200 rows"),
        (["check"], "3 vocabulary tables with 19 rows. No faults."),
    ],
    ids=["preview", "preview-of-labels", "preview-of-a-row", "plan", "plan-cells", "check"],
)
def test_a_command_says_what_it_found(small: Path, arguments: list[str], says: str) -> None:
    assert says in here(*arguments, small)


def test_build_says_what_it_made(small: Path, tmp_path: Path) -> None:
    said = here("build", tmp_path / "out", "--pack", small, "--rows", 100, "--formats", "jsonl")
    assert re.search(r"jsonl/claude_training_full.jsonl +100 +[\d.]+ kB\n", said)
    assert re.search(r"100 rows in [\d.]+ s: [\d,]+ rows/s", said)


def test_verify_says_that_all_is_well(small: Path, built: Path) -> None:
    assert (
        here("verify", built, "--pack", small) == f"{built}: files match the manifest, sampled rows match the config\n"
    )


def test_json_of_build_is_its_manifest(small: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = json.loads(here("build", out, "--pack", small, "--seed", 7, "--json"))
    manifest = json.loads((out / "manifest.json").read_text())
    assert {key: value for key, value in said.items() if key not in {"out", "seconds"}} == manifest
    assert {f["name"]: f["bytes"] for f in manifest["files"]} == {
        name: len(data) for name, data in content(out).items() if name != "manifest.json"
    }


def test_json_of_preview_is_its_rows(small: Path) -> None:
    rows = json.loads(here("preview", "--pack", small, "--n", 3, "--level", "Fair", "--json"))
    assert [row["complexity"] for row in rows] == ["Fair"] * 3


def test_json_of_plan_adds_up(small: Path) -> None:
    plan = json.loads(here("plan", "--pack", small, "--rows", 900, "--json"))
    assert sum(q[o] for q in plan["quotas"] for o in ("seeds", "paraphrase", "complexity", "domain")) == 900
    assert sum(cell["rows"] for cell in plan["cells"]) == plan["capacity_rows"]


def test_json_of_check_counts_or_lists_faults(
    small: Path, pack_files: Files, make_pack: Callable[[Files], Path]
) -> None:
    assert json.loads(here("check", small, "--json"))["faults"] == []
    days = pack_files["vocabulary/day.csv"]
    spoilt = make_pack(pack_files | {"vocabulary/day.csv": days + ",\n"})
    said = subprocess.run([*RUVTAB, "check", spoilt, "--json"], capture_output=True, text=True, check=False)
    (fault,) = json.loads(said.stdout)["faults"]
    line = days.count("\n") + 1
    assert (said.returncode, fault["file"], fault["line"]) == (2, str(spoilt / "vocabulary/day.csv"), line)
    assert f"day.csv:{line}: name is empty" in here("check", spoilt, code=2)
    assert f"day.csv:{line}: name is empty" in here("plan", "--pack", spoilt, code=2)


def test_json_of_verify_says_ok(small: Path, built: Path) -> None:
    assert json.loads(here("verify", built, "--pack", small, "--json")) == {"ok": True, "problems": []}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([c, "--help"] for c in COMMANDS)], ids=" ".join)
def test_help_is_there_without_heavy_imports(arguments: list[str]) -> None:
    script = (
        "import sys; from ruvtab.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(*({'polars', 'numpy', 'pyarrow', 'pydantic'} & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "\n")
    if arguments[0] in COMMANDS:
        assert f"ruvtab {arguments[0]}" in done.stdout.split("\n", 2)[2]
    else:
        assert "ruvtab build dataset" in done.stdout or re.fullmatch(r"\d+\.\d+\.\d+\n", done.stdout)


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_in_help_are_commands_that_are_understood(command: str) -> None:
    examples = re.findall(r"`ruvtab (.*?)`", COMMANDS[command].__doc__ or "")
    assert examples
    for example in examples:
        function = cli.app.parse_args(shlex.split(example), exit_on_error=False, print_error=False)[0]
        assert function is COMMANDS[command]


@pytest.mark.parametrize("line", ["bogus", "build", "build out --bogus", "plan -n 0", "check gone", "verify gone"])
def test_wrong_input_ends_with_code_2(line: str) -> None:
    assert run(*line.split(), code=2)


SMALL, OUT, BUILT, GONE = "SMALL", "OUT", "BUILT", "GONE"


WRONG = {
    "bogus": 'Unknown command "bogus"',
    "build OUT --bogus": "Unknown option: --bogus",
    "build": "requires an argument",
    "build OUT --rows many": "many",
    "build OUT --holdout family": 'Choose from: "group", "subject"',
    "build OUT --pack SMALL --split 0.5,0.5,0.5": "must be >= 0 and sum to 1; these sum to 1.5",
    "build OUT --pack SMALL --split 1.2,-0.1,-0.1": "must be >= 0 and sum to 1",
    "build OUT --pack SMALL --split 0.5,0.5": "split.2: Field required",
    "build OUT --pack SMALL --split nan,nan,nan": "split: shares of train, validation and test",
    "build OUT --pack SMALL --split a,b,c": "split.0: Input should be a valid number",
    "build OUT --pack SMALL -n -5": "examples_per_category: Input should be greater than or equal to 1, found -5",
    "build OUT --pack SMALL --rows 0": "rows: Input should be greater than or equal to 1, found 0",
    "build OUT --pack SMALL --rows 5 -n 5": "rows and examples_per_category both say how much",
    "build OUT --pack SMALL --seed -1": "seed: Input should be greater than or equal to 0, found -1",
    "build OUT --pack SMALL --domain-transfers -0.1": "domain_transfers: Input should be greater",
    "build OUT --pack SMALL --formats xml": "unknown format xml; formats are jsonl, json, parquet",
    "build OUT --pack SMALL --formats ,": "formats are jsonl, json, parquet",
    "build OUT --config GONE": "GONE: cannot be read as TOML",
    "build OUT --pack GONE": "GONE: is not a folder; --pack wants the folder that holds pack.toml",
    "build LONG --pack SMALL": "File name too long",
    "check GONE": "GONE: is not a folder",
    "plan --pack SMALL --rows 10000000000000": "rows: Input should be less than or equal to 1000000000000",
    "preview --pack SMALL --n -3": "-3",
    "preview --pack SMALL --row 1080": "row 1,080 is not in the plan; its rows are 0 to 1,079",
    "preview --pack SMALL --level Simple": "unknown complexity 'Simple'; there are Easy, Fair, Hard",
    "verify GONE": "GONE holds no manifest.json, so it is not a finished dataset; build it with: ruvtab build",
    "verify BUILT --pack SMALL --sample -1": "-1",
}


@pytest.mark.parametrize(("line", "says"), WRONG.items(), ids=list(WRONG))
def test_wrong_input_is_refused_by_name(small: Path, built: Path, tmp_path: Path, line: str, says: str) -> None:
    places = {
        SMALL: small,
        BUILT: built,
        OUT: tmp_path / "out",
        GONE: tmp_path / "gone",
        "LONG": tmp_path / ("x" * 300),
    }
    said = here(*(places.get(word, word) for word in line.split()), code=2)
    assert says.replace(GONE, str(tmp_path / "gone")) in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "rows = -1\nseeds = 3",
            ["rows: Input should be greater", "seeds: Extra inputs are not permitted, found 3 (settings"],
        ),
        ("augmentation = 3", ["augmentation"]),
        ("rows = ", ["cannot be read as TOML: Invalid value"]),
    ],
    ids=["values", "shape", "syntax"],
)
def test_a_wrong_config_file_is_named_with_every_wrong_setting(tmp_path: Path, text: str, says: list[str]) -> None:
    config = tmp_path / "config.toml"
    config.write_text(text)
    said = here("plan", "--config", config, code=2)
    assert [s for s in (str(config), *says) if s not in said] == []


def test_flags_win_over_the_config_file(small: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'rows = 300\nseed = 5\npack = "{small}"\naugmentation = {{ domain_transfers = 0 }}\n')
    made = json.loads(here("build", tmp_path / "out", "--config", config, "-n", 20, "--formats", "jsonl", "--json"))[
        "config"
    ]
    assert (made["examples_per_category"], made["seed"], made["augmentation"]["domain_transfers"]) == (20, 5, 0)
    assert "rows" not in made


def test_more_than_the_pack_can_say_names_a_cell_and_both_numbers(small: Path, tmp_path: Path) -> None:
    said = here("build", tmp_path / "out", "--pack", small, "-n", 5000, "--no-augmentation", code=2)
    asked, room = re.findall(r"([\d,]+) seeds asked, room for ([\d,]+)\.", said)[0]
    assert int(asked.replace(",", "")) > int(room.replace(",", ""))
    assert re.search(r"smallest cell, (cook|tidy)\.\w+ × (Kitchen|Garden), holds \d+", said)
    assert "add rows to its scenario tables (thing.csv, person.csv)" in said
    assert not (tmp_path / "out").exists()


def test_as_many_seeds_as_the_plan_has_room_for_are_built(small: Path, tmp_path: Path) -> None:
    quotas = json.loads(here("plan", "--pack", small, "-n", 50, "--no-augmentation", "--json"))["quotas"]
    scarce = min(q["room"] / share for q, share in zip(quotas[:3], (0.4, 0.3, 0.3), strict=True))
    here("build", tmp_path / "out", "--pack", small, "-n", int(scarce), "--no-augmentation", "--formats", "jsonl")
    lines = (tmp_path / "out/jsonl/claude_training_full.jsonl").read_text().splitlines()
    assert len({json.loads(line)["input"] + json.loads(line)["context"] for line in lines}) == 2 * int(scarce)


def test_a_reader_that_stops_early_is_no_error(small: Path) -> None:
    command = f"{shlex.quote(sys.executable)} -m ruvtab preview --pack {shlex.quote(str(small))} --n 1000 | head -n 2"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=True)
    assert (len(done.stdout.splitlines()), done.stderr) == (2, "")


@pytest.mark.parametrize(
    "harm", [lambda data: b"", lambda data: data[:-99], lambda data: b"x" * 99], ids=["empty", "cut", "x"]
)
def test_a_broken_cache_is_not_used(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[bytes], bytes]
) -> None:
    monkeypatch.setenv("RUVTAB_CACHE", str(tmp_path / "cache"))
    said = run("preview", "--pack", small)
    (entry,) = (tmp_path / "cache").iterdir()
    entry.write_bytes(harm(entry.read_bytes()))
    assert run("preview", "--pack", small) == said
    assert os.listdir(tmp_path / "cache") == [entry.name]


@pytest.mark.parametrize("spoilt", [{"config": 3}, {"config": {"seed": "x"}}, {"files": 3}, {"files": [{}]}], ids=str)
def test_verify_refuses_a_manifest_of_another_shape(
    small: Path, built: Path, tmp_path: Path, spoilt: dict[str, object]
) -> None:
    manifest = json.loads((built / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | spoilt))
    assert "not a manifest" in here("verify", tmp_path, "--pack", small, code=2)

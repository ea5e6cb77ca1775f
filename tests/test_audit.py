"""The audit names every planted fault, and no other."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from shell import here, run

from ruvtab import DatasetConfig, generate
from ruvtab.audit import LIFTS, audit
from ruvtab.labelled import read_labelled
from ruvtab.shortcuts import shortcuts_of

Row = dict[str, Any]
Rows = list[Row]

ROUTING = {"Coder": {"Simple": "haiku", "Complex": "opus"}, "Reviewer": {"Simple": "haiku", "Complex": "sonnet"}}
VERBS = ("mend", "check", "paint", "count", "fold", "draw", "wash", "tune", "cook", "read")
THINGS = ("clock", "bridge", "ladder", "garden", "engine", "piano")


def clean() -> Rows:
    """Rows without any fault: texts that share few words, splits by group, every label as often as the next."""
    return [
        {
            "input": f"{verb} the {thing} number {i * 10 + j} in room {chr(97 + j)}{i} of {THINGS[(i + j) % 6]} hall",
            "context": f"note {i}{j}",
            "category": ("Coder", "Reviewer")[j % 2],
            "complexity": ("Simple", "Complex")[i % 2],
            "expected_model": ROUTING[("Coder", "Reviewer")[j % 2]][("Simple", "Complex")[i % 2]],
            "split": "test" if j % 5 == 4 else "train",
            "group_id": f"g{i}-{j}",
        }
        for i, verb in enumerate(VERBS)
        for j, thing in enumerate(THINGS)
    ]


def with_text(text: str) -> Callable[[Rows], None]:
    return lambda rows: rows[7].update(input=text)


def duplicate(rows: Rows) -> None:
    rows.append(rows[3] | {"group_id": "other"})


def near_duplicate(rows: Rows) -> None:
    long = (
        "go over the invoice export of the northern branch and see why totals of march and april differ by a cent on "
    )
    long += "each of the pages that the printer in the basement gave us"
    rows += [rows[0] | {"input": long, "group_id": "n1"}, rows[0] | {"input": long + " now", "group_id": "n2"}]


def contradiction(rows: Rows) -> None:
    rows.append(rows[0] | {"category": "Reviewer", "group_id": "other"})


def leak_of_text(rows: Rows) -> None:
    rows.append(rows[0] | {"split": "test", "context": "another", "group_id": "other"})


def leak_of_group(rows: Rows) -> None:
    rows[4]["group_id"] = rows[3]["group_id"]


def leak_nearly(rows: Rows) -> None:
    near_duplicate(rows)
    rows[-1]["split"] = "test"


def misspelled(rows: Rows) -> None:
    for row in rows[:10]:
        row["category"] = row["category"].lower()


def unbalanced(rows: Rows) -> None:
    for i, row in enumerate(rows):
        row["shade"] = "dark" if i else "light"


PLANTED: dict[str, tuple[Callable[[Rows], None], set[str]]] = {
    "number for text": (with_text(17), {"readable"}),  # type: ignore[arg-type]
    "blank": (with_text("  \t "), {"empty"}),
    "slot": (with_text("mend the {part.name} of the door"), {"placeholder"}),
    "double slot": (with_text("mend the {{ part }} of the door"), {"placeholder"}),
    "insert here": (with_text("mend the [INSERT NAME] of the door"), {"placeholder"}),
    "chat template": (with_text("<|im_start|>user mend the door"), {"markup"}),
    "entity": (with_text("mend the door &amp; the window"), {"markup"}),
    "mojibake": (with_text("mend the door of the cafÃ©"), {"encoding"}),
    "replacement character": (with_text("mend the door of the caf\ufffd"), {"encoding"}),
    "access key": (with_text("the key is AKIAIOSFODNN7EXAMPLE as you know"), {"secret"}),
    "mail address": (with_text("write to jo.doe@company.com about the door"), {"personal"}),
    "telephone": (with_text("call +49 30 1234 5678 about the door"), {"personal"}),
    "label missing": (lambda rows: rows[5].update(complexity=None), {"label missing"}),
    "routing": (lambda rows: rows[5].update(expected_model="opus"), {"routing"}),
    "duplicate": (duplicate, {"duplicate"}),
    "near duplicate": (near_duplicate, {"near duplicate"}),
    "contradiction": (contradiction, {"contradiction: category"}),
    "leak of a text": (leak_of_text, {"leak: text"}),
    "leak of a group": (leak_of_group, {"leak: group"}),
    "leak of a near text": (leak_nearly, {"near duplicate", "leak: near"}),
    "misspelled": (misspelled, {"spelling: category"}),
    "unbalanced": (unbalanced, {"balance: shade"}),
}
HARMLESS = {
    "code in backticks": with_text("mend `{x}` and `<b>` in `page.html` of the clock"),
    "a path with a parameter": with_text("mend GET /lessons/{id} of the school clock"),
    "shell": with_text("mend ${HOME} in the run script of the clock"),
    "an example address": with_text("mend the mail to jo@example.org on the clock"),
    "accents": with_text("mend the Ärger with the café's naïve façade clock"),
    "a version and a port": with_text("mend release 10.4.22.1 on port 8080 of the clock at 2026-01-01"),
}


def written(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def failed(path: Path, **columns: str) -> set[str]:
    return {gate.name for gate in audit(path, columns=columns, routing=ROUTING).gates if gate.passed is False}


def test_clean_rows_pass(tmp_path: Path) -> None:
    found = audit(written(tmp_path / "clean.jsonl", clean()), routing=ROUTING)
    assert [gate for gate in found.gates if gate.passed is False] == []
    assert found.n_rows == 60


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_named_and_no_other(name: str, tmp_path: Path) -> None:
    plant, expected = PLANTED[name]
    rows = clean()
    plant(rows)
    columns = {"shade": "shade"} if name == "unbalanced" else {}
    path = written(tmp_path / "planted.jsonl", rows)
    assert failed(path, **columns) == expected


def test_all_planted_faults_in_one_file_are_named(tmp_path: Path) -> None:
    rows, expected = clean(), set[str]()
    for i, (name, (plant, gates)) in enumerate(PLANTED.items()):
        if name == "near duplicate":  # the near leak is one, too, and of the same texts
            continue
        more = clean()
        plant(more)
        fresh = [row for row in more if row not in clean()]
        rows += [
            row | {"group_id": f"{row['group_id']}/{i}" if "-" not in row["group_id"] else row["group_id"]}
            for row in fresh
        ]
        expected |= gates
    path = written(tmp_path / "planted.jsonl", rows)
    with path.open("a") as file:
        file.write('{"input": "cut off\n')
    found = audit(path, routing=ROUTING, columns={"shade": "shade"})
    assert expected <= {gate.name for gate in found.gates if gate.passed is False}
    (readable,) = (gate for gate in found.gates if gate.name == "readable")
    assert f"{path}:{len(rows) + 1}: unreadable" in " ".join(readable.examples)


@pytest.mark.parametrize("name", HARMLESS)
def test_what_looks_like_a_fault_and_is_none_passes(name: str, tmp_path: Path) -> None:
    rows = clean()
    HARMLESS[name](rows)
    assert failed(written(tmp_path / "harmless.jsonl", rows)) == set()


def test_a_label_that_length_or_first_word_gives_away_fails(tmp_path: Path) -> None:
    rows = [
        row | {"input": f"{row['input']} {k}", "group_id": f"{row['group_id']}{k}"}
        for k in range(10)
        for row in clean()
    ]
    for i, row in enumerate(rows):
        row["input"] = ("Please " if row["category"] == "Coder" else "Kindly ") + row["input"]
        row["input"] += " and so on and on" * 5 if row["complexity"] == "Complex" else ""
        row["split"], row["context"] = ("train", "test")[i % 3 == 0], f"note {i}"
    gates = {
        gate.name for gate in audit(written(tmp_path / "given.jsonl", rows), near=1.0).gates if gate.passed is False
    }
    assert {"shortcut: complexity by length", "shortcut: category by first word"} <= gates
    assert "shortcut: category by length" not in gates


def test_limits_of_shortcuts_are_those_of_three_levels_and_five_categories() -> None:
    assert 1 / 3 + LIFTS["length"] * (2 / 3) == pytest.approx(0.48)
    assert 1 / 5 + LIFTS["first word"] * (4 / 5) == pytest.approx(0.55)


def test_random_labels_have_no_shortcut() -> None:
    df = generate(DatasetConfig(rows=3000)).examples.with_columns(coin=pl.int_range(pl.len()) % 7 % 2)
    found = shortcuts_of(df.with_columns(pl.col("coin").cast(pl.String)), "coin")
    assert all(score < 0.6 for score in found.values()), found


def test_the_default_dataset_passes(tmp_path: Path) -> None:
    here("build", tmp_path / "out")
    text = run("audit", tmp_path / "out")
    assert "All gates hold." in text
    assert json.loads(run("audit", tmp_path / "out", "--json"))["passed"] is True


def test_the_command_leaves_with_1_and_writes_a_page(tmp_path: Path) -> None:
    rows = clean()
    duplicate(rows)
    path = written(tmp_path / "planted.jsonl", rows)
    text = run("audit", path, "--html", tmp_path / "audit.html", code=1)
    assert "duplicate" in text.splitlines()[-1]
    page = (tmp_path / "audit.html").read_text()
    assert "<script" not in page
    assert "1 of" in page
    assert str(path) in page


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda p: p.write_text("[]"), "no text column"),
        (lambda p: p.write_text('{"input": "x"}'), "must hold a list"),
        (lambda p: p.write_text('[{"body": "x", "category": "A"}]'), "--columns input=NAME"),
        (lambda p: p.write_text('[{"input": "mend it"}]'), "no label column"),
        (lambda p: p.mkdir(), "holds no"),
        (lambda p: None, "no such file"),
    ],
    ids=["empty", "object", "no text", "no label", "empty folder", "missing"],
)
def test_wrong_input_is_told(make: Callable[[Path], object], told: str, tmp_path: Path) -> None:
    make(tmp_path / "data.json")
    assert told in run("audit", tmp_path / "data.json", code=2)


def test_foreign_names_and_formats_are_read_alike(tmp_path: Path) -> None:
    rows = [{"prompt": row["input"], "kind": row["category"], "n": i} for i, row in enumerate(clean())]
    df = pl.DataFrame(rows)
    df.write_parquet(tmp_path / "a.parquet")
    df.write_csv(tmp_path / "a.csv")
    df.write_ndjson(tmp_path / "a.jsonl")
    (tmp_path / "a.json").write_text(json.dumps(rows))
    found = [read_labelled(tmp_path / f"a.{s}", {"category": "kind"}) for s in ("parquet", "csv", "jsonl", "json")]
    assert all(f.df.drop("file").equals(found[0].df.drop("file")) for f in found)
    assert found[0].labels == ("category",)
    assert found[0].df.columns == ["file", "line", "category", "input", "context"]


def test_splits_come_from_the_names_of_files(tmp_path: Path) -> None:
    for name in ("train", "val", "test"):
        written(tmp_path / f"my_{name}.jsonl", clean()[:3])
    written(tmp_path / "my_full.jsonl", clean())
    for row in (rows := clean()[:3]):
        del row["split"]
    for name in ("train", "val", "test"):
        written(tmp_path / f"my_{name}.jsonl", rows)
    df = read_labelled(tmp_path).df
    assert df["split"].to_list() == ["test"] * 3 + ["train"] * 3 + ["validation"] * 3

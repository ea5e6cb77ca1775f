"""Labelled texts of any origin in one frame: JSONL, JSON, CSV or Parquet, a file or a folder of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.json

from ruvtab.errors import DataError, Fault

# what our column is called elsewhere, the likeliest name first
NAMES = {
    "input": ("input", "text", "prompt", "instruction", "task", "query", "question", "utterance"),
    "context": ("context",),
    "split": ("split",),
    "group_id": ("group_id", "group"),
    "family": ("family", "template"),
    "origin": ("origin",),
}
LABELS = ("category", "complexity", "domain", "expected_model", "output_agent", "agent", "label", "intent", "model")
SPLIT_WORDS = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
} | dict.fromkeys(("test", "eval"), "test")
_Odd = tuple[int, str, str]  # line, column or "", what is odd
_READABLE = (".parquet", ".jsonl", ".ndjson", ".json", ".csv")


@dataclass(frozen=True)
class Labelled:
    """Rows with text and labels.

    df: file, line (row of a table, from 1), input, context ("" where there is none), a string column per label, and
    split, group_id, family and origin where they are known. faults: rows that cannot be read or hold no text.
    """

    path: Path
    df: pl.DataFrame
    labels: tuple[str, ...]
    faults: list[Fault]


def read_labelled(path: str | Path, columns: Mapping[str, str] | None = None) -> Labelled:
    """Read labelled texts; `columns` maps names of ours, or of further labels, to the file's.

    A folder is read as `datasets` reads it: its Parquet files, else its JSON lines, splits by their names; a full file
    beside its splits is left out. Raises DataError where there is nothing to read or a column is missing.
    """
    root, wanted = Path(path), dict(columns or {})
    files = _files_of(root)
    frames, faults = list[pl.DataFrame](), list[Fault]()
    for file in files:
        table, odd = _read(file)
        df, chosen = _named(table, file, wanted)
        if "split" not in df.columns and len(files) > 1:
            df = df.with_columns(split=pl.lit(_split_of(file), pl.String))
        texts = {"", chosen["input"], chosen.get("context")}
        bad = [(line, what) for line, column, what in odd if column in texts and not what.endswith("is null")]
        faults += [Fault(file, line, what) for line, what in bad]
        frames.append(df.filter(~pl.col("line").is_in([line for line, _ in bad])))
    df = pl.concat(frames, how="diagonal")
    if "context" not in df.columns:
        df = df.with_columns(context=pl.lit(""))
    labels = tuple(c for c in df.columns if c not in {"file", "line", *NAMES})
    if not labels:
        raise DataError(f"{root}: no label column, found {', '.join(df.columns)}; name one: --columns category=NAME")
    return Labelled(root, df.with_columns(pl.col("context").fill_null("")), labels, sorted(faults))


def _files_of(root: Path) -> list[Path]:
    if root.is_file():
        return [root]
    if not root.is_dir():
        raise DataError(f"{root}: no such file or folder")
    for suffix in _READABLE:
        for folder in (root / "data", root, root / "jsonl"):
            files = sorted(p for p in folder.glob(f"*{suffix}") if p.is_file() and not p.stem.endswith("_stats"))
            files = [p for p in files if p.name not in {"manifest.json", "dataset_infos.json"}]
            if files:
                parts = [p for p in files if _split_of(p)]
                return parts or files
    raise DataError(f"{root}: holds no {', '.join(_READABLE)} file, in it or in its data/ or jsonl/")


def _split_of(file: Path) -> str | None:
    words = file.stem.lower().replace("_", "-").split("-")
    return next((SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS), None)


def _read(file: Path) -> tuple[pl.DataFrame, list[_Odd]]:
    """Read a file as it is, with a column @line, and what is odd in it."""
    odd: list[_Odd] = []
    try:
        match file.suffix:
            case ".parquet":
                table = pl.read_parquet(file)
            case ".csv":
                table = pl.DataFrame(pl.from_arrow(pa.csv.read_csv(file)))
            case ".json":
                table, odd = _rows_of(_list_in(file))
            case ".jsonl" | ".ndjson":
                table, odd = _lines_of(file)
            case other:
                raise DataError(f"{file}: cannot read {other or 'a file without suffix'}; use {', '.join(_READABLE)}")
    except (OSError, ValueError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from error
    if "@line" not in table.columns:
        table = table.with_row_index("@line", offset=1)
    if isinstance(table.schema.get("metadata"), pl.Struct):
        table = table.unnest("metadata")
    return table, odd


def _lines_of(file: Path) -> tuple[pl.DataFrame, list[_Odd]]:
    """Read JSON lines at Arrow's speed, or one by one where Arrow meets something odd, which is then named."""
    try:
        table = pl.DataFrame(pl.from_arrow(pa.json.read_json(file)))
        with file.open("rb") as stream:
            n_lines = sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))
        if len(table) in {n_lines, n_lines + 1} and not any(dtype.is_temporal() for dtype in table.dtypes):
            return table, []
    except (pa.ArrowInvalid, pl.exceptions.PolarsError):
        pass
    return _rows_of(_parsed(file))


def _parsed(file: Path) -> Iterator[tuple[int, Any]]:
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                try:
                    yield number, json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
                except ValueError as error:
                    yield number, error


def _list_in(file: Path) -> Iterator[tuple[int, Any]]:
    found = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(found, list):
        raise ValueError("a JSON file must hold a list of objects")
    yield from enumerate(found, 1)


def _rows_of(parsed: Iterator[tuple[int, Any]]) -> tuple[pl.DataFrame, list[_Odd]]:
    """Put parsed objects into a frame of texts; name what is no object and every value that was no text."""
    rows, odd = list[dict[str, Any]](), list[_Odd]()
    for number, found in parsed:
        if not isinstance(found, dict):
            bad = (
                f"unreadable: {found}"
                if isinstance(found, ValueError)
                else f"unreadable: {type(found).__name__}, not an object"
            )
            odd.append((number, "", bad))
            continue
        nested = found.get("metadata")
        flat = found | nested if isinstance(nested, dict) else found
        odd += [(number, key, f"not text: {key} is {_shown(v)}") for key, v in flat.items() if not isinstance(v, str)]
        rows.append({"@line": number} | {key: v if isinstance(v, str | None) else _shown(v) for key, v in flat.items()})
    names = dict.fromkeys(name for found in rows for name in found)
    columns = {name: [found.get(name) for found in rows] for name in names}
    return pl.DataFrame(columns, schema={n: pl.UInt32 if n == "@line" else pl.String for n in names}), odd


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _named(table: pl.DataFrame, file: Path, wanted: Mapping[str, str]) -> tuple[pl.DataFrame, dict[str, str]]:
    """Give columns our names and drop the others; also return which column of the file each was."""
    missing = sorted(f"{ours}={theirs}" for ours, theirs in wanted.items() if theirs not in table.columns)
    chosen = dict(wanted)
    for ours, aliases in {**NAMES, **{label: (label,) for label in LABELS}}.items():
        theirs = next((name for name in aliases if name in table.columns), None)
        if theirs is not None and ours not in chosen and theirs not in chosen.values():
            chosen[ours] = theirs
    have = ", ".join(c for c in table.columns if c != "@line")
    fix = f"it has {have}. Name it: --columns input=NAME,category=NAME"
    if missing or "input" not in chosen:
        raise DataError(
            f"{file}: no column {', '.join(missing)}; {fix}" if missing else f"{file}: no text column; {fix}"
        )
    if not isinstance(dtype := table.schema[chosen["input"]], pl.String | pl.Categorical | pl.Enum):
        raise DataError(f"{file}: column {chosen['input']} holds {dtype}, not text; {fix}")
    texts = [pl.col(theirs).cast(pl.String).alias(ours) for ours, theirs in chosen.items()]
    df = table.select(pl.lit(str(file)).alias("file"), pl.col("@line").cast(pl.UInt32).alias("line"), *texts)
    return df, chosen

"""Read a user's files: TOML, CSV and their models; what is wrong becomes a fault with its line, and reading goes on."""

from __future__ import annotations

import csv
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
from pydantic import BaseModel, ValidationError

from ruvtab.errors import Fault
from ruvtab.taxonomy import Taxonomy

_M = TypeVar("_M", bound=BaseModel)


@dataclass
class Reader:
    """Collects faults while the files of one pack are read."""

    root: Path
    faults: list[Fault] = field(default_factory=list)

    def fault(self, file: Path, message: str, *needles: str, line: int = 0) -> None:
        """Note a fault at a line, or at the line of the last needle."""
        self.faults.append(Fault(file, line or line_of(file, *needles), message))

    def toml(self, file: Path) -> dict[str, Any]:
        """Read a TOML file; empty where it cannot be."""
        try:
            return tomllib.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self.fault(file, "is missing; a pack needs it")
        except tomllib.TOMLDecodeError as error:
            at = re.search(r"at line (\d+)", str(error))
            self.fault(file, f"not TOML: {error}", line=int(at[1]) if at else 0)
        except (OSError, UnicodeDecodeError) as error:
            self.fault(file, f"cannot be read: {error}")
        return {}

    def checked(self, kind: type[_M], raw: dict[str, Any], file: Path, *needles: str) -> _M | None:
        """Validate against a model; each error becomes a fault at the line of its key."""
        try:
            return kind.model_validate(raw)
        except ValidationError as error:
            for e in error.errors(include_url=False):
                keys = [str(k) for k in e["loc"] if k not in {"levels", "[key]"}]
                found = "" if e["type"] in {"missing", "value_error"} else f", found {e['input']!r:.60}"
                message = e["msg"].removeprefix("Value error, ")
                self.fault(file, f"{'.'.join(keys)}: {message}{found}" if keys else message, *needles, *keys)
        return None

    def table(self, file: Path, taxonomy: Taxonomy) -> pl.DataFrame | None:
        """Read one vocabulary table: a header of domain and columns, then rows of text."""
        try:
            with file.open(newline="", encoding="utf-8") as stream:
                reader = csv.reader(stream, strict=True)
                rows = [(reader.line_num, values) for values in reader if values]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            self.fault(file, f"not CSV: {error}")
            return None
        header = rows[0][1] if rows else []
        if header[:1] != ["domain"] or len(header) < 2 or len(set(header)) < len(header):
            self.fault(file, f"the header must be domain and then column names, found {header}", line=1)
            return None
        seen: dict[tuple[str, ...], int] = {}
        for line, row in rows[1:]:
            if len(row) != len(header):
                self.fault(
                    file, f"{len(row)} values, expected {len(header)}; quote a value that has a comma", line=line
                )
                continue
            if row[0] and row[0] not in taxonomy.domains:
                self.fault(file, f"unknown domain {row[0]!r}; domains are {', '.join(taxonomy.domains)}", line=line)
            for column, value in zip(header[1:], row[1:], strict=True):
                if value != value.strip() or not value:
                    self.fault(file, f"{column} is empty or has spaces around it: {value!r}", line=line)
            if (first := seen.setdefault(tuple(row), line)) != line:
                self.fault(file, f"the same row as line {first}; drop one", line=line)
        if not rows[1:]:
            self.fault(file, "has a header and no rows; add rows or drop the file")
        rows = [rows[0], *((n, r) for n, r in rows[1:] if len(r) == len(header))]
        if not rows[1:]:
            return None
        lines, columns = zip(*rows[1:], strict=True)
        lf = pl.DataFrame(
            dict(zip(header, map(list, zip(*columns, strict=True)), strict=True)),
            schema_overrides=dict.fromkeys(header, pl.String),
        )
        return lf.with_columns(pl.col("domain").replace("", None), pl.Series("@line", lines, dtype=pl.UInt32))


def line_of(file: Path, *needles: str) -> int:
    """Find the line of the last needle, each looked for behind the one before; 0 where the first is not found."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return 0
    at = -1
    for needle in needles:
        spellings = {needle, needle.replace("\\", "\\\\").replace('"', '\\"')}
        found = min((i for i in (text.find(s, at + 1) for s in spellings) if i >= 0), default=-1)
        if found < 0:
            break
        at = found
    return 0 if at < 0 else text.count("\n", 0, at) + 1

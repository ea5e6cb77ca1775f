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
from ruvtab.locate import Step, line_of, path
from ruvtab.taxonomy import Taxonomy

_M = TypeVar("_M", bound=BaseModel)


@dataclass
class Reader:
    """Collects faults while the files of one pack are read."""

    root: Path
    faults: list[Fault] = field(default_factory=list)

    def fault(self, file: Path, message: str, *steps: Step, line: int = 0) -> None:
        """Note a fault at a line, or at the line to which the steps lead."""
        self.faults.append(Fault(file, line or line_of(file, *steps), message))

    def toml(self, file: Path) -> dict[str, Any] | None:
        """Read a TOML file; None where it cannot be."""
        try:
            return tomllib.loads(file.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            self.fault(file, "is missing; a pack needs it")
        except tomllib.TOMLDecodeError as error:
            at = re.search(r"at line (\d+)", str(error))
            self.fault(file, f"not TOML: {error}", line=int(at[1]) if at else 0)
        except (OSError, UnicodeDecodeError) as error:
            self.fault(file, f"cannot be read: {error}")
        return None

    def checked(
        self, kind: type[_M], raw: dict[str, Any] | None, file: Path, *steps: Step, table: str = ""
    ) -> _M | None:
        """Validate against a model; each error becomes a fault at the line of its key, in `table` behind the steps."""
        if raw is None:
            return None
        try:
            return kind.model_validate(raw)
        except ValidationError as error:
            for e in error.errors(include_url=False):
                keys = [k for k in e["loc"] if k != "[key]" and (not table or k != "levels")]
                found = "" if e["type"] in {"missing", "value_error"} else f", found {e['input']!r:.60}"
                message = f"{'.'.join(map(str, keys))}: {e['msg'].removeprefix('Value error, ')}{found}"
                self.fault(file, message.removeprefix(": "), *steps, *path(keys, table))
        return None

    def table(self, file: Path, taxonomy: Taxonomy) -> pl.DataFrame | None:
        """Read one vocabulary table: a header of domain and columns, then rows of text."""
        try:
            with file.open(newline="", encoding="utf-8-sig") as stream:
                reader = csv.reader(stream, strict=True)
                rows = [(reader.line_num, values) for values in reader if values]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            self.fault(file, f"not CSV: {error}", line=reader.line_num if isinstance(error, csv.Error) else 0)
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

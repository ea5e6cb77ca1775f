"""Read a pack: TOML families and frames, CSV vocabulary, taxonomy, into Polars frames; every fault in one pass."""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ruvtab.errors import Fault, PackError
from ruvtab.taxonomy import Range, Taxonomy
from ruvtab.wording import Form, WordingError, parse

MAX_SCENARIO_TABLES = 3
_Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
_Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Meta(_Model):
    """`pack.toml`: who and what a pack is; `quality` maps an origin to the range of its scores."""

    name: _Id
    version: str
    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
    licence: str
    description: str = ""
    quality: dict[str, Range] = {}


class _Template(_Model):
    quality: Annotated[float, Field(ge=0, le=1)]
    input: list[str] = Field(min_length=1)
    context: list[str] | None = Field(default=None, min_length=1)


class _Family(_Model):
    id: _Id
    subject: _Id
    domains: list[str] = Field(min_length=1)
    scenario: list[_Word] = Field(default=[], max_length=MAX_SCENARIO_TABLES)
    tags: list[str] = []
    context: list[str] = Field(default=[""], min_length=1)
    levels: dict[str, _Template] = Field(min_length=1)


class _Frames(_Model):
    share: Annotated[float, Field(ge=0, le=1)] = 0.0
    frame: list[str] = []


class Wording(NamedTuple):
    """One wording with its forms; `family` and `level` are indices, both -1 for a frame."""

    family: int
    level: int
    role: str
    text: str
    forms: list[Form]


@dataclass(frozen=True)
class Pack:
    """A pack as read. `families`, `templates` and the `tables` are frames; `wordings` are in file order.

    families: id, category, subject, domains, scenario, tags, file · templates: family (row of families), level (code),
    quality · tables: domain (null = any) and one string column per vocabulary column.
    """

    root: Path
    meta: Meta
    taxonomy: Taxonomy
    families: pl.DataFrame
    templates: pl.DataFrame
    wordings: list[Wording]
    tables: dict[str, pl.DataFrame]
    kinds: dict[str, dict[str, str]]
    frame_share: float
    digest: str

    def summary(self) -> dict[str, Any]:
        """Count families, subjects, templates and wordings per category, and the vocabulary, as plain values."""
        roles = pl.DataFrame(
            [(w.family, w.role) for w in self.wordings], schema={"family": pl.Int32, "role": pl.String}, orient="row"
        )
        per_family = (
            self.templates.group_by("family")
            .agg(templates=pl.len())
            .join(
                roles.group_by("family").agg(
                    inputs=(pl.col("role") == "input").sum(), contexts=(pl.col("role") == "context").sum()
                ),
                on="family",
                how="left",
            )
        )
        counted = (
            self.families.with_row_index("family")
            .with_columns(pl.col("family").cast(pl.Int32))
            .join(per_family, on="family", how="left")
        )
        categories = counted.group_by("category", maintain_order=True).agg(
            families=pl.len(),
            subjects=pl.n_unique("subject"),
            templates=pl.sum("templates"),
            inputs=pl.sum("inputs"),
            contexts=pl.sum("contexts"),
        )
        return {
            "categories": categories.to_dicts(),
            "tables": len(self.tables),
            "rows": sum(map(len, self.tables.values())),
        }


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


@dataclass
class _Reader:
    """Collects faults while the files of one pack are read."""

    root: Path
    faults: list[Fault] = field(default_factory=list)

    def fault(self, file: Path, message: str, *needles: str, line: int = 0) -> None:
        self.faults.append(Fault(file, line or line_of(file, *needles), message))

    def toml(self, file: Path) -> dict[str, Any]:
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
                rows = [(reader.line_num, row) for row in reader if row]
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


_M = TypeVar("_M", bound=BaseModel)


def default_pack() -> Path:
    """Find the English pack that ships with ruvtab: inside the wheel, or beside the package in a checkout."""
    inside = Path(str(files("ruvtab"))) / "data" / "en"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "data" / "en"


def read(root: Path) -> tuple[Pack, list[Fault]]:
    """Read a pack folder into frames, with every fault of syntax, shape and label found on the way.

    What is faulty is left out of the pack; check.load adds the faults of meaning and refuses both.
    Raises PackError where pack.toml or taxonomy.toml leave nothing to read the rest by.
    """
    reader = _Reader(root)
    if not root.is_dir():
        raise PackError([Fault(root, 0, "is not a folder; --pack wants the folder that holds pack.toml")])
    meta = reader.checked(Meta, reader.toml(root / "pack.toml"), root / "pack.toml")
    taxonomy = reader.checked(Taxonomy, reader.toml(root / "taxonomy.toml"), root / "taxonomy.toml")
    if meta is None or taxonomy is None:
        raise PackError(reader.faults)
    families = list(_families(reader, taxonomy))
    wordings = [
        w for index, (_, model, file) in enumerate(families) for w in _wordings(reader, index, model, file, taxonomy)
    ]
    frames_file = root / "frames.toml"
    frames = reader.checked(_Frames, reader.toml(frames_file) if frames_file.exists() else {}, frames_file) or _Frames()
    wordings += [
        Wording(-1, -1, "frame", text, forms) for text in frames.frame for forms in _forms(reader, frames_file, text)
    ]
    vocabulary = sorted((root / "vocabulary").glob("*.csv"))
    tables = {file.stem: lf for file in vocabulary if (lf := reader.table(file, taxonomy)) is not None}
    kinds_file = root / "vocabulary" / "columns.toml"
    kinds = reader.toml(kinds_file) if kinds_file.exists() else {}
    if not families and not reader.faults:
        reader.fault(root / "families", "holds no family; add a TOML file with [[family]] tables")
    codes = {level: code for code, level in enumerate(taxonomy.levels)}
    pack = Pack(
        root,
        meta,
        taxonomy,
        pl.DataFrame(
            [(m.id, category, m.subject, m.domains, m.scenario, m.tags, str(file)) for category, m, file in families],
            schema=_FAMILY_SCHEMA,
            orient="row",
        ),
        pl.DataFrame(
            [(i, codes[level], t.quality) for i, (_, m, _f) in enumerate(families) for level, t in m.levels.items()],
            schema={"family": pl.Int32, "level": pl.Int32, "quality": pl.Float64},
            orient="row",
        ).sort("family", "level"),
        wordings,
        tables,
        kinds,
        frames.share if frames.frame else 0.0,
        _digest(root),
    )
    return pack, reader.faults


_FAMILY_SCHEMA = {
    "id": pl.String,
    "category": pl.String,
    "subject": pl.String,
    "domains": pl.List(pl.String),
    "scenario": pl.List(pl.String),
    "tags": pl.List(pl.String),
    "file": pl.String,
}


def _families(reader: _Reader, taxonomy: Taxonomy) -> Iterator[tuple[str, _Family, Path]]:
    """Yield category, family and file of every family that is sound by itself."""
    first: dict[str, Path] = {}
    for file in sorted((reader.root / "families").rglob("*.toml")):
        raw = reader.toml(file)
        if raw and raw.get("category") not in taxonomy.categories:
            found = raw.get("category")
            reader.fault(
                file,
                f"category is {found!r}; begin the file with category = one of {list(taxonomy.categories)}",
                "category",
            )
            continue
        for family in raw.get("family", []):
            name = f'id = "{family.get("id")}"'
            family = {k: v for k, v in family.items() if k in _Family.model_fields} | {
                "levels": {k: v for k, v in family.items() if k not in _Family.model_fields}
            }
            model = reader.checked(_Family, family, file, name)
            for what, known, used in (
                ("domain", taxonomy.domains, family.get("domains", [])),
                ("level", taxonomy.levels, family["levels"]),
            ):
                for label in [x for x in used if x not in known]:
                    reader.fault(file, f"unknown {what} {label!r}; {what}s are {', '.join(known)}", name, str(label))
            if model is None:
                continue
            if model.id in first:
                reader.fault(
                    file, f"family {model.id!r} stands already in {first[model.id].name}; rename one", name, name
                )
            first.setdefault(model.id, file)
            if len(set(model.domains)) < len(model.domains):
                reader.fault(file, f"family {model.id!r} names a domain twice", name, "domains")
            low, high = taxonomy.categories[raw["category"]].quality
            for level, template in model.levels.items():
                if not low <= template.quality <= high:
                    reader.fault(
                        file,
                        f"quality {template.quality} of {model.id} {level} is outside the range "
                        f"[{low}, {high}] of {raw['category']}",
                        name,
                        f".{level}]",
                        "quality",
                    )
            if set(model.levels) <= set(taxonomy.levels) and set(model.domains) <= set(taxonomy.domains):
                yield raw["category"], model, file


def _wordings(reader: _Reader, index: int, family: _Family, file: Path, taxonomy: Taxonomy) -> Iterator[Wording]:
    for level, template in family.levels.items():
        code = list(taxonomy.levels).index(level)
        for role, texts in (("input", template.input), ("context", template.context or family.context)):
            for text in texts:
                for forms in _forms(reader, file, text, f'id = "{family.id}"', f".{level}]"):
                    yield Wording(index, code, role, text, forms)


def _forms(reader: _Reader, file: Path, text: str, *needles: str) -> Iterator[list[Form]]:
    """Yield the forms of a wording once, or nothing and a fault."""
    try:
        yield parse(text)
    except WordingError as error:
        reader.fault(file, f"{error}: {text!r:.80}", *needles, text)


def _digest(root: Path) -> str:
    """Hash every file of a pack, by relative name and content."""
    total = blake2b(digest_size=16)
    for file in sorted(root.rglob("*")):
        if file.suffix in {".toml", ".csv"} and file.is_file():
            total.update(f"{file.relative_to(root).as_posix()}\0{file.stat().st_size}\0".encode())
            total.update(file.read_bytes())
    return total.hexdigest()

"""Read a pack: TOML families and frames, CSV vocabulary, taxonomy, into Polars frames; every fault in one pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from ruvtab.errors import Fault, PackError
from ruvtab.locate import Step, family, header, key, path, text
from ruvtab.source import Reader
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
    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    context: list[str] = Field(default=[""], min_length=1)
    levels: dict[str, _Template] = Field(min_length=1)


class _Frames(_Model):
    share: Annotated[float, Field(ge=0, le=1)] = 0.0
    frame: list[str] = []


class Wording(NamedTuple):
    """One wording with its forms; `family` and `level` are indices, -1 for a frame; `steps` lead to it in `file`."""

    family: int
    level: int
    role: str
    text: str
    forms: tuple[Form, ...]
    file: Path
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Pack:
    """What a plan needs to know of a pack.

    families: id, category, subject, domains, scenario, tags, weight (of each cell in the share of seeds), file ·
    templates: family (row of families), level (code), quality. `digest` hashes every file of the pack.
    """

    meta: Meta
    taxonomy: Taxonomy
    families: pl.DataFrame
    templates: pl.DataFrame
    digest: str


@dataclass(frozen=True)
class PackSource(Pack):
    """A pack with its words: `wordings` in file order, `tables` by name, `kinds` of their columns.

    tables: domain (null = any), one string column per vocabulary column, and @line in the file.
    """

    root: Path
    wordings: list[Wording]
    tables: dict[str, pl.DataFrame]
    kinds: dict[str, dict[str, str]]
    frame_share: float

    def summary(self) -> dict[str, Any]:
        """Count families, subjects, templates and wordings per category, and the vocabulary, as plain values."""
        roles = pl.DataFrame(
            [(w.family, w.role) for w in self.wordings], schema={"family": pl.Int64, "role": pl.String}, orient="row"
        )
        per_family = (
            self.templates.with_columns(pl.col("family").cast(pl.Int64))
            .group_by("family")
            .agg(templates=pl.len())
            .join(
                roles.group_by("family").agg(
                    inputs=(pl.col("role") == "input").sum(), contexts=(pl.col("role") == "context").sum()
                ),
                on="family",
                how="left",
            )
        )
        rows = pl.int_range(pl.len()).alias("family")
        counted = self.families.with_columns(rows).join(per_family, on="family", how="left")
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


def default_pack() -> Path:
    """Find the English pack that ships with ruvtab: inside the wheel, or beside the package in a checkout."""
    inside = Path(str(files("ruvtab"))) / "data" / "en"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "data" / "en"


def read(root: Path) -> tuple[PackSource, list[Fault]]:
    """Read a pack folder into frames, with every fault of syntax, shape and label found on the way.

    What is faulty is left out of the pack; check.load adds the faults of meaning and refuses both.
    Raises PackError where pack.toml or taxonomy.toml leave nothing to read the rest by.
    """
    reader = Reader(root)
    if not root.is_dir():
        raise PackError([Fault(root, 0, "is not a folder; --pack wants the folder that holds pack.toml")])
    meta = reader.checked(Meta, reader.toml(root / "pack.toml"), root / "pack.toml")
    taxonomy = reader.checked(Taxonomy, reader.toml(root / "taxonomy.toml"), root / "taxonomy.toml")
    if meta is None or taxonomy is None:
        raise PackError(reader.faults)
    for place, message in taxonomy.faults():
        reader.fault(root / "taxonomy.toml", message, *path(place))
    if reader.faults:
        raise PackError(reader.faults)
    families = list(_families(reader, taxonomy))
    wordings = [
        w for index, (_, model, file) in enumerate(families) for w in _wordings(reader, index, model, file, taxonomy)
    ]
    frames_file = root / "frames.toml"
    frames = reader.checked(_Frames, reader.toml(frames_file) if frames_file.exists() else {}, frames_file) or _Frames()
    wordings += [
        Wording(-1, -1, "frame", wording, forms, frames_file, (key("frame"),))
        for wording in frames.frame
        for forms in _forms(reader, frames_file, wording, key("frame"))
    ]
    vocabulary = sorted((root / "vocabulary").glob("*.csv"))
    tables = {file.stem: lf for file in vocabulary if (lf := reader.table(file, taxonomy)) is not None}
    kinds_file = root / "vocabulary" / "columns.toml"
    kinds = (reader.toml(kinds_file) or {}) if kinds_file.exists() else {}
    if not families and not reader.faults:
        reader.fault(root / "families", "holds no family; add a TOML file with [[family]] tables")
    elif not reader.faults:
        for name in sorted(set(taxonomy.categories) - {category for category, _, _ in families}):
            message = f"category {name} has no family; write one in families/, or take the category out"
            reader.fault(root / "taxonomy.toml", message, header(f"categories.{name}"))
    code = list(taxonomy.levels).index
    templates = [(i, code(level), t.quality) for i, (_, m, _) in enumerate(families) for level, t in m.levels.items()]
    pack = PackSource(
        meta=meta,
        taxonomy=taxonomy,
        families=pl.DataFrame(
            [(m.id, c, m.subject, m.domains, m.scenario, m.tags, m.weight, str(file)) for c, m, file in families],
            schema=_FAMILY_SCHEMA,
            orient="row",
        ),
        templates=pl.DataFrame(templates, schema=_TEMPLATE_SCHEMA, orient="row").sort("family", "level"),
        digest=digest_of(root),
        root=root,
        wordings=wordings,
        tables=tables,
        kinds=kinds,
        frame_share=frames.share if frames.frame else 0.0,
    )
    return pack, reader.faults


_TEMPLATE_SCHEMA = {"family": pl.UInt32, "level": pl.Int64, "quality": pl.Float64}
_FAMILY_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "id": pl.String,
    "category": pl.String,
    "subject": pl.String,
    "domains": pl.List(pl.String),
    "scenario": pl.List(pl.String),
    "tags": pl.List(pl.String),
    "weight": pl.Float64,
    "file": pl.String,
}


def _families(reader: Reader, taxonomy: Taxonomy) -> Iterator[tuple[str, _Family, Path]]:
    """Yield category, family and file of every family that is sound by itself."""
    first: dict[str, Path] = {}
    for file in sorted((reader.root / "families").rglob("*.toml")):
        raw = reader.toml(file)
        if raw is None:
            continue
        category, tables = raw.get("category"), raw.get("family", [])
        if not isinstance(category, str) or category not in taxonomy.categories:
            known = ", ".join(taxonomy.categories)
            reader.fault(
                file, f"category is {category!r}; begin the file with category = one of {known}", key("category")
            )
        elif not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            reader.fault(file, "family is not a list of tables; begin each with [[family]]", key("family"))
        else:
            for table in tables:
                if (found := _family(reader, taxonomy, category, table, file)) is not None:
                    if found.id in first:
                        at = family(found.id, 2 if first[found.id] == file else 1)
                        message = f"family {found.id!r} stands already in {first[found.id].name}; rename one"
                        reader.fault(file, message, at)
                    first.setdefault(found.id, file)
                    yield category, found, file


def _family(reader: Reader, taxonomy: Taxonomy, category: str, table: dict[str, Any], file: Path) -> _Family | None:
    """Check one [[family]] table; None where its labels are unknown or its shape is wrong."""
    at = family(str(table.get("id")))
    fields = set(_Family.model_fields) - {"levels"}
    own = {name: value for name, value in table.items() if name in fields}
    levels = {name: value for name, value in table.items() if name not in fields}
    for level in [level for level in levels if level not in taxonomy.levels]:
        known = ", ".join(taxonomy.levels)
        reader.fault(file, f"unknown level {level!r}; levels are {known}", at, *path([level], "family"))
    domains = own.get("domains", []) if isinstance(own.get("domains", []), list) else []
    for domain in [domain for domain in domains if isinstance(domain, str) and domain not in taxonomy.domains]:
        known = ", ".join(taxonomy.domains)
        reader.fault(file, f"unknown domain {domain!r}; domains are {known}", at, key("domains"), text(domain))
    found = reader.checked(_Family, own | {"levels": levels}, file, at, table="family")
    if found is None or not set(found.levels) <= set(taxonomy.levels) or not set(domains) <= set(taxonomy.domains):
        return None
    if len(set(found.domains)) < len(found.domains):
        reader.fault(file, f"family {found.id!r} names a domain twice", at, key("domains"))
    low, high = taxonomy.categories[category].quality
    for level, template in found.levels.items():
        if not low <= template.quality <= high:
            message = f"quality {template.quality} of {found.id} {level} is outside {category}'s range [{low}, {high}]"
            reader.fault(file, message, at, header(f"family.{level}"), key("quality"))
    return found


def _wordings(reader: Reader, index: int, found: _Family, file: Path, taxonomy: Taxonomy) -> Iterator[Wording]:
    for level, template in found.levels.items():
        code = list(taxonomy.levels).index(level)
        own = (family(found.id), header(f"family.{level}"))
        shared = template.context is None
        for role, texts, steps in (
            ("input", template.input, (*own, key("input"))),
            (
                "context",
                template.context or found.context,
                (own[0], key("context")) if shared else (*own, key("context")),
            ),
        ):
            for wording in texts:
                for forms in _forms(reader, file, wording, *steps):
                    yield Wording(index, code, role, wording, forms, file, steps)


def _forms(reader: Reader, file: Path, wording: str, *steps: Step) -> Iterator[tuple[Form, ...]]:
    """Yield the forms of a wording once, or nothing and a fault."""
    try:
        yield parse(wording)
    except WordingError as error:
        reader.fault(file, f"{error}: {wording!r:.80}", *steps, text(wording))


def digest_of(root: Path) -> str:
    """Hash every file of a pack, by relative name and content."""
    total = blake2b(digest_size=16)
    for file in sorted(root.rglob("*")):
        if file.suffix in {".toml", ".csv"} and file.is_file():
            total.update(f"{file.relative_to(root).as_posix()}\0{file.stat().st_size}\0".encode())
            total.update(file.read_bytes())
    return total.hexdigest()

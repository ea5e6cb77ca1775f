"""What to build: one pydantic model for keyword arguments, TOML files and the command line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ruvtab.errors import ConfigError

ORIGINS = ("seed", "paraphrase", "complexity", "domain")
SPLITS = ("train", "validation", "test")
Rate = Annotated[float, Field(ge=0, le=64, allow_inf_nan=False)]


class AugmentationConfig(BaseModel):
    """Augmentations per seed, as means: fractions are spread over the seeds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    paraphrases_per_example: Rate = 2.0
    complexity_variations: Rate = 1.6
    domain_transfers: Rate = 0.8


class DatasetConfig(BaseModel):
    """What to build. The same config and pack give the same rows on every machine.

    `examples_per_category` counts seeds; `rows` counts all rows and takes its place. `split` holds the shares of train,
    validation and test; `holdout = "subject"` keeps whole subjects for test. `pack` None is the default pack.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    examples_per_category: Annotated[int, Field(ge=1, le=10**12)] = 100
    rows: Annotated[int, Field(ge=1, le=10**12)] | None = None
    enable_augmentation: bool = True
    augmentation: AugmentationConfig = AugmentationConfig()
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    split: tuple[float, float, float] = (0.7, 0.15, 0.15)
    holdout: Literal["group", "subject"] = "group"
    pack: Path | None = None

    @field_validator("split")
    @classmethod
    def _shares(cls, shares: tuple[float, float, float]) -> tuple[float, float, float]:
        if not (min(shares) >= 0 and abs(sum(shares) - 1) <= 1e-6):
            raise ValueError(
                f"shares of train, validation and test must be >= 0 and sum to 1; these sum to {sum(shares):g}"
            )
        return shares

    @model_validator(mode="after")
    def _one_size(self) -> DatasetConfig:
        if self.rows is not None and "examples_per_category" in self.model_fields_set:
            raise ValueError("rows and examples_per_category both say how much to build; give one")
        return self

    @property
    def rates(self) -> dict[str, float]:
        """Rows of each origin per seed, the seed itself first."""
        a, on = self.augmentation, self.enable_augmentation
        return {
            "seed": 1.0,
            "paraphrase": a.paraphrases_per_example * on,
            "complexity": a.complexity_variations * on,
            "domain": a.domain_transfers * on,
        }

    def recorded(self) -> dict[str, Any]:
        """Return what decides the rows, as plain values; the pack is recorded by its hash, not its place."""
        unused = "rows" if self.rows is None else "examples_per_category"
        return self.model_dump(mode="json", exclude={"pack", unused})


def config_of(values: dict[str, Any], file: Path | None = None) -> DatasetConfig:
    """Make a config from a TOML file and values that override it.

    Raises ConfigError with every wrong setting at once. A relative `pack` in the file is relative to the file.
    """
    read: dict[str, Any] = {}
    if file is not None:
        try:
            read = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{file}: cannot be read as TOML: {error}") from error
        if "pack" in read:
            read["pack"] = file.parent / str(read["pack"])
        for one, other in (("rows", "examples_per_category"), ("examples_per_category", "rows")):
            if one in values:
                read.pop(other, None)
    merged = read | values
    if isinstance(read.get("augmentation"), dict) and "augmentation" in values:
        merged["augmentation"] = read["augmentation"] | values["augmentation"]
    try:
        return DatasetConfig.model_validate(merged)
    except ValidationError as error:
        where = f"{file}: " if file else ""
        known = ", ".join(DatasetConfig.model_fields)
        lines = []
        for e in error.errors(include_url=False):
            name = ".".join(map(str, e["loc"]))
            hint = f" (settings are {known})" if e["type"] == "extra_forbidden" else ""
            found = "" if e["type"] == "value_error" else f", found {e['input']!r:.60}"
            lines.append(f"{where}{name + ': ' if name else ''}{e['msg'].removeprefix('Value error, ')}{found}{hint}")
        raise ConfigError("\n".join(lines)) from error

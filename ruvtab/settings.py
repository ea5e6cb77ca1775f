"""The command line's settings of a build: flags over a file over defaults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from ruvtab.config import DatasetConfig


AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON for machines instead of tables.")]
Folder = Annotated[Path, Parameter(help="The dataset folder.")]


@Parameter(name="*")
@dataclass
class Settings:
    """What to build."""

    examples_per_category: Annotated[
        int | None, Parameter(alias="-n", help="Seeds per category, before augmentation [default: 100].")
    ] = None
    rows: Annotated[int | None, Parameter(help="Rows in all, instead of seeds per category.")] = None
    seed: Annotated[int | None, Parameter(help="Another seed draws other examples [default: 42].")] = None
    no_augmentation: Annotated[bool, Parameter(negative="", help="Seeds only.")] = False
    paraphrases_per_example: Annotated[float | None, Parameter(help="Mean paraphrases per seed [default: 2.0].")] = None
    complexity_variations: Annotated[
        float | None, Parameter(help="Mean variations at another level per seed [default: 1.6].")
    ] = None
    domain_transfers: Annotated[
        float | None, Parameter(help="Mean transfers to another domain per seed [default: 0.8].")
    ] = None
    split: Annotated[str | None, Parameter(help="Shares of train, validation and test [default: 0.7,0.15,0.15].")] = (
        None
    )
    holdout: Annotated[
        Literal["group", "subject"] | None, Parameter(help="`subject` keeps whole subjects for test [default: group].")
    ] = None
    pack: Annotated[Path | None, Parameter(help="Folder of your own pack, instead of the English one.")] = None
    config: Annotated[Path | None, Parameter(help="TOML file with these settings; flags win over it.")] = None

    def resolved(self) -> DatasetConfig:
        """Check everything that was given, at once."""
        from ruvtab.config import config_of

        names = ("examples_per_category", "rows", "seed", "holdout", "pack")
        values: dict[str, Any] = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        rates = ("paraphrases_per_example", "complexity_variations", "domain_transfers")
        if augmentation := {name: getattr(self, name) for name in rates if getattr(self, name) is not None}:
            values["augmentation"] = augmentation
        if self.no_augmentation:
            values["enable_augmentation"] = False
        if self.split is not None:
            values["split"] = self.split.split(",")
        return config_of(values, self.config)


def pairs_of(option: str, given: list[str]) -> dict[str, str]:
    """Split KEY=VALUE words; raises ConfigError where one is none."""
    from ruvtab.errors import ConfigError

    if bad := [pair for pair in given if "=" not in pair]:
        raise ConfigError(f"{option} {bad[0]!r}: write it as KEY=VALUE, for example region=eu-central-1")
    return dict(pair.split("=", 1) for pair in given)


def part_of(shard: str | None) -> tuple[int, int] | None:
    """Read I/N; raises ConfigError where it is something else."""
    from ruvtab.errors import ConfigError

    if shard is None:
        return None
    first, _, step = shard.partition("/")
    if not (first.isdigit() and step.isdigit()):
        raise ConfigError(f"--shard {shard!r}: write it as I/N, for example 3/16, parts numbered from 1")
    return int(first), int(step)


def mapped(columns: str | None) -> dict[str, str]:
    """Read OURS=THEIRS,…; raises ConfigError where a name is missing."""
    from ruvtab.errors import ConfigError

    pairs = [pair.partition("=") for pair in (columns or "").split(",") if pair.strip()]
    if bad := [name for name, _, theirs in pairs if not theirs]:
        raise ConfigError(f"--columns {bad[0]!r}: write it as ours=theirs, for example input=prompt,category=agent")
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}

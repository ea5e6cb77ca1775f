"""A dataset in memory: a Polars frame of rows with what users of one want to do with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from ruvtab.builder import scan
from ruvtab.config import SPLITS, DatasetConfig, config_of
from ruvtab.errors import ConfigError, OutputError
from ruvtab.schema import JSON_ORDER, METADATA, SCHEMA
from ruvtab.split import split_of_groups
from ruvtab.stats import counted, stats_of


class TaskDataset:
    """Rows of task requests: `examples` is a frame with the columns of schema.SCHEMA, never changed in place."""

    def __init__(self, examples: pl.DataFrame) -> None:
        self.examples = examples

    @cached_property
    def stats(self) -> dict[str, Any]:
        """Counts and shares per label, cross tables and mean quality, as plain values."""
        return stats_of(counted(self.examples))

    def __len__(self) -> int:
        return len(self.examples)

    def __repr__(self) -> str:
        shares = self.stats["shares"]
        lines = [
            f"  {column:<14} " + "  ".join(f"{label} {share:.1%}" for label, share in shares[column].items())
            for column in ("category", "complexity", "expected_model", "split")
        ]
        return "\n".join(
            [
                f"TaskDataset: {len(self):,} rows, {self.examples['group_id'].n_unique():,} groups, "
                f"mean quality {self.stats['mean_quality']}",
                *lines,
            ]
        )

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def to_arrow(self) -> pa.Table:
        """Return the rows as an Arrow table of schema.SCHEMA."""
        return self.examples.to_arrow().select(SCHEMA.names).cast(SCHEMA)

    def filter(
        self,
        *,
        category: str | Iterable[str] | None = None,
        complexity: str | Iterable[str] | None = None,
        domain: str | Iterable[str] | None = None,
        tag: str | None = None,
        min_quality: float | None = None,
    ) -> TaskDataset:
        """Keep the rows that have all that is asked: one of the labels named, the tag, at least the quality."""
        wanted = {"category": category, "complexity": complexity, "domain": domain}
        keep = [
            pl.col(column).is_in([labels] if isinstance(labels, str) else list(labels))
            for column, labels in wanted.items()
            if labels is not None
        ]
        if tag is not None:
            keep.append(pl.col("tags").list.contains(tag))
        if min_quality is not None:
            keep.append(pl.col("quality_score") >= pl.lit(min_quality, pl.Float32))
        return TaskDataset(self.examples.filter(*keep))

    def split(
        self, train: float | None = None, validation: float | None = None, test: float | None = None
    ) -> tuple[TaskDataset, TaskDataset, TaskDataset]:
        """Return train, validation and test; with shares, groups are dealt anew, by category, level and domain.

        Raises ConfigError unless the shares are all given, >= 0 and sum to 1.
        """
        given = (train, validation, test)
        df = self.examples
        if given != (None, None, None):
            shares = [share for share in given if share is not None]
            if len(shares) < 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
                raise ConfigError(
                    f"shares must be three, >= 0 and sum to 1, found {given}; for example split(0.7, 0.15, 0.15)"
                )
            df = (
                df.drop("split")
                .join(
                    split_of_groups(df, (shares[0], shares[1], shares[2])),
                    on="group_id",
                    how="left",
                    validate="m:1",
                    maintain_order="left",
                )
                .select(df.columns)
            )
        parts = [TaskDataset(df.filter(pl.col("split") == name)) for name in SPLITS]
        return parts[0], parts[1], parts[2]

    def export_jsonl(self, path: str | Path) -> Path:
        """Write one JSON object per line, nested as the README shows."""
        return _replaced(path, lambda part: self._nested().write_ndjson(part))

    def export_json(self, path: str | Path) -> Path:
        """Write one pretty-printed JSON list."""
        rows = (
            self._nested()
            .with_columns(pl.col("metadata").struct.with_fields(pl.field("quality_score").cast(pl.Float64).round(4)))
            .to_dicts()
        )
        return _replaced(
            path, lambda part: part.write_text(json.dumps(rows, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        )

    def export_parquet(self, path: str | Path) -> Path:
        """Write one flat Parquet file (zstd)."""
        return _replaced(
            path, lambda part: pq.write_table(self.to_arrow(), part, compression="zstd", compression_level=1)
        )

    def export_stats(self, path: str | Path) -> Path:
        """Write the stats as JSON."""
        return _replaced(
            path,
            lambda part: part.write_text(json.dumps(self.stats, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"),
        )

    def _nested(self) -> pl.DataFrame:
        return self.examples.select(
            pl.struct(METADATA).alias("metadata") if key == "metadata" else pl.col(key) for key in JSON_ORDER
        )


def generate(config: DatasetConfig | None = None, **settings: Any) -> TaskDataset:
    """Make a dataset in memory from a config, or from the config's settings as keywords.

    Raises PackError, ConfigError and CapacityError as `build` does.
    """
    if config is not None and settings:
        raise ConfigError("give a config or keywords, not both; DatasetConfig takes all keywords")
    chosen = config if config is not None else config_of(settings)
    return TaskDataset(pl.DataFrame(pl.from_arrow(scan(chosen).read_all())))


def _replaced(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Write under another name and rename, so that no half file ever has the name."""
    target = Path(path)
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        part.replace(target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink()
    return target

"""Where a build goes: a folder here, or object storage."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruvtab import builder
from ruvtab.config import DatasetConfig
from ruvtab.errors import ConfigError


def build(
    config: DatasetConfig | None = None,
    out: str | Path = "dataset",
    *,
    storage_options: Mapping[str, str] | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Build into a folder, as builder.build does with the same settings, or into a URL such as s3://bucket/prefix.

    There is no renaming in object storage: a shard is made in a temporary folder here and copied, then its record, and
    the manifest last of all; what has no manifest is no dataset. The same call again makes what is missing.
    `storage_options` are those of pyarrow.fs.S3FileSystem, such as access_key, secret_key, region, endpoint_override,
    or their names with aws_; without any, the environment decides.

    Raises PackError, ConfigError, CapacityError and OutputError.
    """
    if "://" not in str(out):
        if storage_options:
            raise ConfigError(f"storage options are for object storage, but {out} is a folder")
        return builder.build(config, out, **settings)
    from ruvtab.storage import build_into  # noqa: PLC0415  a tenth of a second that folders need not pay

    return build_into(str(out), config or DatasetConfig(), storage_options or {}, **settings)

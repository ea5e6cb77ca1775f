"""Builds into object storage: each shard is made in a temporary folder here and copied there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from pyarrow import fs

from ruvtab.builder import Progress, described, plan_of
from ruvtab.config import DatasetConfig
from ruvtab.engine import n_threads
from ruvtab.errors import ConfigError, OutputError
from ruvtab.manifest import MANIFEST, Tally, fingerprint
from ruvtab.partial import BUILD, PARTIAL, compared, identity
from ruvtab.render import Renderer
from ruvtab.shard import FORMATS, SHARD_ROWS, layout_of, record_path, write_shard

# names that other tools use for pyarrow's
_ALIASES = {
    "aws_access_key_id": "access_key",
    "aws_secret_access_key": "secret_key",
    "aws_session_token": "session_token",
    "aws_region": "region",
    "aws_endpoint_url": "endpoint_override",
}


def build_into(
    url: str,
    config: DatasetConfig,
    options: Mapping[str, str],
    *,
    formats: Sequence[str] = FORMATS,
    overwrite: bool = False,
    pretty: bool | None = None,
    shard_rows: int = SHARD_ROWS,
    compress: bool = False,
    part: tuple[int, int] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Build below a URL; settings and errors are those of target.build."""
    if part is not None:
        raise ConfigError("parts of a build need a folder that all jobs share; object storage takes whole builds")
    plan = plan_of(config)
    layout, mark = layout_of(plan.n_rows, formats, pretty, shard_rows, compress), fingerprint(plan)
    kept = done = 0
    try:
        store = _Store(url, options)
        ours = identity(plan, layout, mark)
        begun, manifest = store.json(f"{PARTIAL}/{BUILD}"), store.json(MANIFEST)
        before = compared(url, ours, manifest, begun, store.names(), overwrite)
        if before is not None and all(store.holds(entry) for entry in before["files"]):
            return before
        if overwrite and begun != ours:
            store.remove(PARTIAL)
        store.delete(MANIFEST)
        for entry in manifest["files"] if manifest is not None and overwrite else ():
            store.delete(entry["name"])
        store.write(f"{PARTIAL}/{BUILD}", json.dumps(ours, indent=2))
        renderer = Renderer(plan)
        tally, entries = Tally(renderer), dict[str, dict[str, Any]]()

        def told(n: int) -> None:
            nonlocal done
            done += n
            if progress:
                progress(done, plan.n_rows)

        for shard in range(layout.n_shards):
            name = f"{PARTIAL}/{record_path(shard)}"
            record = store.json(name)
            if record is not None and all(store.holds(entry) for entry in record["files"]):
                start, stop = layout.rows_of(shard)
                told(stop - start)
            else:
                with TemporaryDirectory(prefix="ruvtab-") as folder:
                    made = write_shard(
                        renderer, layout, shard, Path(folder), mark, threads=threads or n_threads(), progress=told
                    )
                    for entry in made["files"]:
                        store.put(Path(folder) / entry["name"], entry["name"])
                record = made
                store.write(name, json.dumps(record))
            kept += 1
            tally.add_record(record)
            entries |= {entry["name"]: entry for entry in record["files"]}
        with TemporaryDirectory(prefix="ruvtab-") as folder:
            manifest = described(plan, layout, Path(folder), entries, tally, mark)
            for entry in manifest["files"]:
                if entry["name"] not in entries:
                    store.put(Path(folder) / entry["name"], entry["name"])
        store.write(MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
        store.remove(PARTIAL)
    except (OSError, pa.ArrowException) as error:
        left = f"{kept} of {layout.n_shards} shards are there and kept, the same command goes on" if kept else ""
        fix = "look at bucket, credentials (--storage-option access_key=… secret_key=…) and endpoint"
        raise OutputError(f"{url}: cannot be written: {error}; {left or 'nothing was built'}; {fix}") from error
    return manifest


class _Store:
    """A place in object storage, by names below its prefix."""

    def __init__(self, url: str, options: Mapping[str, str]) -> None:
        try:
            if options:
                scheme, _, path = url.partition("://")
                if scheme != "s3":
                    raise ConfigError(
                        f"storage options are for s3:// only; give those of {scheme}:// in the environment"
                    )
                chosen = {_ALIASES.get(name, name): value for name, value in options.items()}
                endpoint = chosen.get("endpoint_override", "")
                if "://" in endpoint:
                    chosen["scheme"], _, chosen["endpoint_override"] = endpoint.partition("://")
                system: fs.FileSystem = fs.S3FileSystem(**chosen, connect_timeout=5, request_timeout=60)
            else:
                system, path = fs.FileSystem.from_uri(url)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{url}: {error}; for example s3://bucket/prefix") from error
        self._system, self._root = system, path.rstrip("/")

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def names(self) -> list[str]:
        """List what lies directly below the prefix."""
        found = self._system.get_file_info(fs.FileSelector(self._root, allow_not_found=True))
        return sorted(info.base_name for info in found)

    def json(self, name: str) -> dict[str, Any] | None:
        """Read a JSON object; None where there is none."""
        if self._system.get_file_info(self._at(name)).type != fs.FileType.File:
            return None
        with self._system.open_input_stream(self._at(name)) as stream:
            found: dict[str, Any] = json.loads(stream.read())
        return found

    def holds(self, entry: dict[str, Any]) -> bool:
        """Whether a file is there with the bytes its entry says."""
        return bool(self._system.get_file_info(self._at(entry["name"])).size == entry["bytes"])

    def write(self, name: str, text: str) -> None:
        """Write a small file."""
        with self._system.open_output_stream(self._at(name)) as stream:
            stream.write(text.encode())

    def put(self, file: Path, name: str) -> None:
        """Copy a file here to there."""
        fs.copy_files(str(file), self._at(name), fs.LocalFileSystem(), self._system)

    def delete(self, name: str) -> None:
        """Delete a file if it is there."""
        if self._system.get_file_info(self._at(name)).type == fs.FileType.File:
            self._system.delete_file(self._at(name))

    def remove(self, name: str) -> None:
        """Delete what lies below a name."""
        if self._system.get_file_info(self._at(name)).type == fs.FileType.Directory:
            self._system.delete_dir(self._at(name))

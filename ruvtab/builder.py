"""The order of the stages: pack, lexicon, plan, shards, stats, card, manifest."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from ruvtab import card
from ruvtab.config import DatasetConfig
from ruvtab.engine import in_order, n_threads
from ruvtab.errors import ConfigError, OutputError
from ruvtab.manifest import MANIFEST, Tally, file_problem, fingerprint, read_manifest
from ruvtab.partial import BUILD, PARTIAL, compared, finished, identity
from ruvtab.plan import Plan, planned
from ruvtab.prepare import prepared
from ruvtab.render import Renderer
from ruvtab.schema import SCHEMA
from ruvtab.shard import CHUNK_ROWS, FORMATS, PREFIX, SHARD_ROWS, Layout, is_recorded, layout_of, record_of, write_shard
from ruvtab.write import Output

Progress = Callable[[int, int], None]


def plan_of(config: DatasetConfig) -> Plan:
    """Read and check the config's pack and lay the config over it.

    Raises PackError with all faults of the pack, CapacityError when it cannot say so much.
    """
    return planned(*prepared(config.pack), config)


def scan(
    config: DatasetConfig | None = None, *, chunk_rows: int = CHUNK_ROWS, threads: int | None = None
) -> pa.RecordBatchReader:
    """Stream the rows of a config as Arrow record batches, in plan order, in bounded memory.

    The reader speaks the Arrow C stream: Polars, DuckDB, pandas and pyarrow take it as it is.
    """
    plan = plan_of(config or DatasetConfig())
    renderer, n = Renderer(plan), -(-plan.n_rows // chunk_rows)

    def batch(i: int) -> pa.RecordBatch:
        return renderer.batch(renderer.chunk(i * chunk_rows, min((i + 1) * chunk_rows, plan.n_rows)))

    return pa.RecordBatchReader.from_batches(SCHEMA, in_order(batch, n, threads or n_threads()))


def build(
    config: DatasetConfig | None = None,
    out: str | Path = "dataset",
    *,
    formats: Sequence[str] = FORMATS,
    overwrite: bool = False,
    pretty: bool | None = None,
    shard_rows: int = SHARD_ROWS,
    compress: bool = False,
    part: tuple[int, int] | None = None,
    chunk_rows: int = CHUNK_ROWS,
    threads: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Build a dataset folder and return its manifest.

    Files are made shard by shard in a partial folder inside `out` and moved into place when all are whole, the manifest
    last. What fails or is interrupted leaves what was there before, and of several shards those that are whole: the
    same call again makes only what is missing. On a finished dataset of the same config it mends files that are missing
    or damaged. `pretty` None writes the JSON list up to PRETTY_LIMIT rows. `compress` writes JSON lines as zstd.
    `part` (i, n), of a job array, makes each n-th shard from the i-th on, 1 <= i <= n, and leaves the rest to `merge`:
    it returns the partial folder's identity. `progress` is called with rows done and rows in all.

    Raises PackError, ConfigError, CapacityError and OutputError.
    """
    plan, target = plan_of(config or DatasetConfig()), Path(out)
    layout = layout_of(plan.n_rows, formats, pretty, shard_rows, compress)
    mark, partial = fingerprint(plan), target / PARTIAL
    before = finished(target, plan, layout, mark, overwrite)
    made, (first, step) = not target.exists(), part or (1, 1)
    if not 1 <= first <= step <= layout.n_shards:
        there = f"{layout.n_shards} shard{'s' * (layout.n_shards > 1)} to make"
        fix = "parts are numbered from 1, as many as shards at most; fewer rows per shard make more shards"
        raise ConfigError(f"part {first} of {step}, with {there}: {fix}")
    work = _Work(plan, layout, partial, mark, threads or n_threads(), chunk_rows, progress)
    whole = False
    try:
        if before is not None:
            manifest = _mended(work, target, before)
        elif step > 1:
            work.begin()
            for shard in range(first - 1, layout.n_shards, step):
                work.record(shard)
            return identity(plan, layout, mark)
        else:
            work.begin()
            manifest = described(plan, layout, partial, *work.done(), mark)
            _moved(partial, target, manifest)
        whole = True
    except OSError as error:
        left = "the dataset that was there is untouched" if (target / MANIFEST).exists() else "nothing is left behind"
        if kept := work.n_whole():
            left = f"{kept} of {layout.n_shards} shards are kept, the same command goes on from there"
        why = error.strerror or error
        raise OutputError(f"{target}: cannot be written: {why}; {left}. Free space, or name another folder") from error
    finally:
        if whole or (step == 1 and not work.n_whole()):
            shutil.rmtree(partial, ignore_errors=True)
        if made and target.is_dir() and not any(target.iterdir()):
            target.rmdir()
    return manifest


def merge(out: str | Path, *, pack: Path | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Finish a dataset whose shards were made in parts, and return its manifest; `pack` is that of the parts.

    Shards that are damaged are made again. Raises OutputError where some are missing or there is no such build.
    """
    target = Path(out)
    begun = target / PARTIAL / BUILD
    try:
        read = json.loads(begun.read_text(encoding="utf-8"))
        config = DatasetConfig.model_validate(read["config"] | {"pack": pack})
        settings = {name: read["layout"][name] for name in ("formats", "shard_rows", "compress")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        fix = "make one: ruvtab build OUT --shard-rows N --shard 1/4"
        raise OutputError(f"{target} holds no build that was begun in parts ({error}); {fix}") from error
    plan = plan_of(config)
    layout = Layout(plan.n_rows, **(settings | {"formats": tuple(settings["formats"])}))
    compared(str(target), identity(plan, layout, fingerprint(plan)), None, read, [], overwrite=False)
    if missing := [shard for shard in range(layout.n_shards) if not is_recorded(target / PARTIAL, shard)]:
        some = ", ".join(map(str, missing[:8])) + (", …" if len(missing) > 8 else "")
        raise OutputError(
            f"{target}: {len(missing)} of {layout.n_shards} shards are missing ({some}); make their parts"
        )
    return build(config, target, overwrite=(target / MANIFEST).exists(), progress=progress, **settings)


@dataclass
class _Work:
    """The partial folder of a build, and what fills it."""

    plan: Plan
    layout: Layout
    folder: Path
    mark: str
    threads: int
    chunk_rows: int
    progress: Progress | None
    _rows: int = 0

    def begin(self) -> None:
        """Make the folder, or go on in it; others may do so at the same time, for other shards."""
        self.folder.mkdir(parents=True, exist_ok=True)
        own = self.folder / f"{BUILD}.{os.getpid()}"
        own.write_text(json.dumps(identity(self.plan, self.layout, self.mark), indent=2))
        own.replace(self.folder / BUILD)

    def n_whole(self) -> int:
        """Count the whole shards that are worth keeping: of one shard alone none is."""
        shards = range(self.layout.n_shards) if self.layout.n_shards > 1 else ()
        return sum(is_recorded(self.folder, shard) for shard in shards)

    def done(self) -> tuple[dict[str, dict[str, Any]], Tally]:
        """Make the shards that are missing; return all files' entries by name, and what the rows add up to."""
        tally, entries = Tally(self._renderer), dict[str, dict[str, Any]]()
        for shard in range(self.layout.n_shards):
            record = self.record(shard)
            tally.add_record(record)
            entries |= {entry["name"]: entry for entry in record["files"]}
        return entries, tally

    def record(self, shard: int) -> dict[str, Any]:
        """Return the record of a shard, which is made unless it is there and whole."""
        record = record_of(self.folder, shard)
        if record is None:
            return self.made(shard)
        start, stop = self.layout.rows_of(shard)
        self._told(stop - start)
        return record

    def made(self, shard: int) -> dict[str, Any]:
        """Write a shard and return its record."""
        return write_shard(
            self._renderer,
            self.layout,
            shard,
            self.folder,
            self.mark,
            threads=self.threads,
            chunk_rows=self.chunk_rows,
            progress=self._told,
        )

    @cached_property
    def _renderer(self) -> Renderer:
        return Renderer(self.plan)

    def _told(self, n: int) -> None:
        self._rows += n
        if self.progress:
            self.progress(self._rows, self.plan.n_rows)


def _mended(work: _Work, target: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Make the files of a finished dataset anew that are missing or damaged."""
    entries = {entry["name"]: entry for entry in manifest["files"]}
    damaged = {name for name, entry in entries.items() if file_problem(target, entry)}
    if not damaged:
        return manifest
    work.begin()
    made = dict[str, dict[str, Any]]()
    for shard in range(work.layout.n_shards):
        if damaged & set(work.layout.names(shard)):
            made |= {entry["name"]: entry for entry in work.made(shard)["files"]}
    made |= _small_files(work.plan, work.folder, manifest["stats"], entries, work.mark)
    for name in sorted(damaged):
        if made[name] != entries[name]:
            raise OutputError(f"{target / name} cannot be made as it was; --overwrite builds the dataset anew")
        _rename(work.folder / name, target / name)
    return manifest


def described(
    plan: Plan, layout: Layout, folder: Path, entries: dict[str, dict[str, Any]], tally: Tally, mark: str
) -> dict[str, Any]:
    """Write stats and card, and return the manifest, which is not written yet."""
    stats = tally.stats()
    entries = entries | _small_files(plan, folder, stats, entries, mark)
    return {
        "format": "ruvtab.dataset/1",
        "content_hash": tally.content_hash,
        "rows": plan.n_rows,
        **identity(plan, layout, mark),
        "stats": stats,
        "files": [entries[name] for name in sorted(entries)],
    }


def _small_files(
    plan: Plan, folder: Path, stats: dict[str, Any], entries: dict[str, dict[str, Any]], mark: str
) -> dict[str, dict[str, Any]]:
    """Write stats and card; return their entries."""
    name = f"{PREFIX}_stats.json"
    made = {name: _text(folder / name, json.dumps(stats, indent=2, ensure_ascii=False) + "\n")}
    listed = {n: e for n, e in entries.items() if n != "README.md"} | made
    return made | {"README.md": _text(folder / "README.md", card.card(plan, stats, listed, mark))}


def _text(path: Path, text: str) -> dict[str, Any]:
    output = Output(path)
    output.write(text.encode())
    output.close()
    return output.entry(path.name)


def _moved(partial: Path, target: Path, manifest: dict[str, Any]) -> None:
    """Move whole files into place, the new manifest last; if a move fails, what was there before is put back."""
    _text(partial / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    new = [*(entry["name"] for entry in manifest["files"]), MANIFEST]
    aside, moved = partial / "before", list[Path]()
    try:
        for name in [MANIFEST, *_old_files(target), *new]:
            if (target / name).is_file() and not (aside / name).exists():
                _rename(target / name, aside / name)
        for name in new:
            _rename(partial / name, target / name)
            moved.append(target / name)
    except BaseException:
        for path in moved:
            _rename(path, partial / path.relative_to(target))
        for path in sorted(p for p in aside.rglob("*") if p.is_file()):
            _rename(path, target / path.relative_to(aside))
        raise


def _rename(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)


def _old_files(target: Path) -> list[str]:
    """Name the files of the dataset that is in a folder, as far as its manifest can be read; none from outside it."""
    try:
        names = [entry["name"] for entry in read_manifest(target)["files"]] if (target / MANIFEST).exists() else []
    except OutputError:
        return []
    return [name for name in names if (target / name).resolve().is_relative_to(target.resolve())]

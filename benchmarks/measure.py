"""Do one measurement in this process and print what it took: `bench_build.py` starts one such process for each.

    python benchmarks/measure.py '{"kind": "stream", "rows": 100000}' FOLDER

Seconds and CPU seconds (of all threads) are those of the work itself, the plan included and the imports not.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ruvtab import DatasetConfig

# bench_build.py imports this module and has to stay small, as Linux counts its memory in the peak of what it spawns:
# no Polars up here.
LOOP_ROWS = 100_000
Figures = dict[str, float]


@dataclass(frozen=True)
class Job:
    """What one process measures: `rows` None is the default config, `warm` runs it once untimed before."""

    kind: str
    rows: int | None = None
    formats: tuple[str, ...] = ()
    augmented: bool = True
    one_thread: bool = False
    warm: bool = False
    cached: bool = True


def measured(job: Job, out: Path) -> Figures:
    """Do a job in this process and time it."""
    if job.one_thread and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    out.mkdir(parents=True)
    for module in ("builder", "engine", "render", "write"):
        import_module(f"ruvtab.{module}")
    if job.kind == "machine":
        return limits(job, out)
    work = looped(job, out) if job.kind == "loop" else partial(WORK[job.kind], job, out)
    if job.warm:
        work()
    written(out / "warm", min((job.rows or 0) * 1_500, 2**31))
    start, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found | {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}


def written(path: Path, n_bytes: int, block: bytes = bytes(2**24)) -> float:
    """Write a file, delete it and return the seconds.

    The memory that its pages leave is what the next file gets. In a virtual machine the first use of memory costs
    several times what writing does, at random; so every job uses some before its clock runs.
    """
    start, left = time.perf_counter(), n_bytes
    with path.open("wb", buffering=0) as file:
        while left:
            left -= file.write(memoryview(block)[:left])
    seconds = time.perf_counter() - start
    path.unlink()
    return seconds


def config_of(job: Job) -> DatasetConfig:
    """Make the config of a job."""
    from ruvtab import DatasetConfig

    return DatasetConfig(rows=job.rows, enable_augmentation=job.augmented)


def built(job: Job, out: Path) -> Figures:
    """Build a folder: JSONL is the full file and the same rows again in three split files."""
    from ruvtab.builder import build

    threads = 1 if job.one_thread else None
    manifest = build(config_of(job), out, formats=job.formats, pretty=True, overwrite=True, threads=threads)
    return {"rows": manifest["rows"], "bytes": sum(file["bytes"] for file in manifest["files"] if file["rows"])}


def streamed(job: Job, out: Path) -> Figures:
    """Write one JSONL file as `build` would, which has no option for it; like the loop's, the file is not hashed."""
    from ruvtab.builder import CHUNK_ROWS, plan_of
    from ruvtab.engine import in_order, n_threads
    from ruvtab.render import Renderer
    from ruvtab.write import JsonWriter, data_of

    plan = plan_of(config_of(job))
    renderer = Renderer(plan)
    writer, n_rows = JsonWriter(renderer), plan.n_rows

    def lines(i: int) -> memoryview:
        return data_of(writer.lines(renderer.chunk(i * CHUNK_ROWS, min((i + 1) * CHUNK_ROWS, n_rows))))

    with (out / "full.jsonl").open("wb") as file:
        chunks = in_order(lines, -(-n_rows // CHUNK_ROWS), 1 if job.one_thread else n_threads())
        return {"rows": n_rows, "bytes": sum(map(file.write, chunks))}


def scanned(job: Job, _: Path) -> Figures:
    """Take the rows as Arrow batches and drop them."""
    from ruvtab.builder import scan

    sizes = [(len(batch), batch.nbytes) for batch in scan(config_of(job))]
    share = 1 - 1 / sum(config_of(job).rates.values())
    n_rows = sum(n for n, _ in sizes)
    return {"rows": n_rows, "bytes": sum(n for _, n in sizes), "augmented": n_rows * share}


def looped(job: Job, out: Path) -> Callable[[], Figures]:
    """Prepare the plain loop, whose preparation is not timed, and return what is."""
    from plain_loop import PlainLoop

    loop, n_rows = PlainLoop(), job.rows or LOOP_ROWS
    return lambda: {"rows": n_rows, "bytes": loop.write(out / "full.jsonl", n_rows)}


WORK = {"build": built, "stream": streamed, "scan": scanned}


def limits(job: Job, out: Path) -> Figures:
    """Say what the machine allows: copy memory, write the same number of bytes, compress the same bytes."""
    import numpy as np
    import pyarrow as pa

    size = streamed(job, out)["bytes"]
    source, target = np.ones(2**28, np.uint8), np.ones(2**28, np.uint8)
    start = time.perf_counter()
    for _ in range(4):
        np.copyto(target, source)
    found = {"copy_gb_s": 4 * len(source) / (time.perf_counter() - start) / 1e9, "row_bytes": size / (job.rows or 1)}
    codec, cpu = pa.Codec("zstd", compression_level=1), 0.0
    with (out / "full.jsonl").open("rb") as file:
        data = file.read(2**24)
        file.seek(0)
        for block in iter(lambda: file.read(2**20), b""):
            before = time.process_time()
            codec.compress(block)
            cpu += time.process_time() - before
    (out / "full.jsonl").unlink()
    for key in ("first_write_gb_s", "write_gb_s"):
        found[key] = size / written(out / "copy.jsonl", int(size), data) / 1e9
    return found | {"zstd_mb_per_cpu_s": size / cpu / 1e6}


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps(measured(Job(**asked | {"formats": tuple(asked.get("formats", ()))}), Path(sys.argv[2]))))

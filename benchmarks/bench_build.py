"""Measure ruvtab beside a plain Python loop, the figures of the original generator and the limits of the machine.

    python benchmarks/bench_build.py                            1,000,000 rows, medians of 3
    python benchmarks/bench_build.py --large                    10,000,000 rows too: needs 12 GB of disk
    python benchmarks/bench_build.py --rows 100000 --repeat 1   a quick look
    python benchmarks/bench_build.py --json > speed.json        every figure, for machines

Every figure comes from a fresh process that this one spawns (it never forks), which reads warm files and writes to a
temporary folder (TMPDIR chooses where) without fsync; the folder is removed. MB are 10^6 bytes. Peak memory is the
process's largest resident set; CPU seconds count all threads of the timed part. Nothing fails when a target is missed.
Wall times mean little while others use the processors: the first line says how much they did. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from statistics import median

from measure import LOOP_ROWS, Figures, Job

ROOT = Path(__file__).resolve().parents[1]
Table = tuple[str, list[list[str]]]


def run(job: Job, folder: Path) -> Figures:
    """Run a job in a process of its own; add the process's wall seconds and its peak memory in MB."""
    out = folder / "out"
    own = [sys.executable, str(Path(__file__).with_name("measure.py")), json.dumps(asdict(job)), str(out)]
    argv = [sys.executable, "-m", "ruvtab", "build", str(out)] if job.kind == "command" else own
    cache = folder / ("cache" if job.cached else "new-cache")
    env = os.environ | {"PYTHONPATH": str(ROOT), "RUVTAB_CACHE": str(cache)}
    if job.one_thread:
        env |= {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
    errors = subprocess.STDOUT if job.kind == "command" else None
    start = time.perf_counter()
    process = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=errors)
    try:
        said = process.stdout.read() if process.stdout else b""
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        process.wait()
        raise
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    for left in (out, folder / "new-cache"):
        shutil.rmtree(left, ignore_errors=True)
    if process.returncode:
        raise SystemExit(f"{job} ended with code {process.returncode}\n{said.decode()}")
    of_command = {"rows": 2_700, "seconds": wall, "cpu": usage.ru_utime + usage.ru_stime}
    found: Figures = of_command if job.kind == "command" else json.loads(said)
    return found | {"wall": wall, "peak_mb": usage.ru_maxrss * 1024 / 1e6}


def jobs_of(n_rows: int) -> dict[str, Job]:
    """Name what is measured at one size."""
    return {
        "JSONL, one file": Job("stream", n_rows),
        "JSONL, one file, one thread": Job("stream", n_rows, one_thread=True),
        "build JSONL (full file and 3 splits)": Job("build", n_rows, ("jsonl",)),
        "build Parquet": Job("build", n_rows, ("parquet",)),
        "build JSONL and Parquet": Job("build", n_rows, ("jsonl", "parquet")),
        "build pretty JSON": Job("build", n_rows, ("json",)),
        "scan, batches dropped": Job("scan", n_rows),
        "scan, seeds only": Job("scan", n_rows, augmented=False),
    }


LOOP = Job("loop", LOOP_ROWS, one_thread=True)
FIRST, AGAIN = Job("command", cached=False), Job("command")
ALL = ("jsonl", "json", "parquet")


def small_jobs(warm: bool) -> dict[str, Job]:
    """Name what is measured of the default config, to stand beside the original's figures."""
    builds = {name: Job("build", None, formats, warm=warm) for name, formats in _FORMATS.items()}
    scans = {"seeds": Job("scan", augmented=False, warm=warm), "rows": Job("scan", warm=warm)}
    return scans | builds


_FORMATS = {"JSONL": ("jsonl",), "pretty JSON": ("json",), "Parquet": ("parquet",), "all": ALL}


def busy_seconds() -> tuple[float, float]:
    """Return the CPU seconds that the whole machine has spent, and this process's children of them."""
    used = [int(ticks) for ticks in Path("/proc/stat").read_text().split()[1:9]]
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (sum(used) - sum(used[3:5])) / os.sysconf("SC_CLK_TCK"), children.ru_utime + children.ru_stime


def measured_all(jobs: Sequence[Job], repeat: int) -> dict[Job, Figures]:
    """Run every job `repeat` times, in rounds so that a busy minute spoils no job, and take medians."""
    found: dict[Job, list[Figures]] = {job: [] for job in jobs}
    with tempfile.TemporaryDirectory(prefix="ruvtab-bench-") as folder:
        for job in (FIRST, AGAIN):
            run(job, Path(folder))
        for turn in range(repeat):
            for number, job in enumerate(found, start=1):
                print(f"round {turn + 1}/{repeat}, {number}/{len(found)}: {_words(job)}", file=sys.stderr)
                found[job].append(run(job, Path(folder)))
    return {job: {key: median(f[key] for f in runs) for key in runs[0]} for job, runs in found.items()}


def _words(job: Job) -> str:
    how = [*job.formats, *(word for word in ("augmented", "one_thread", "warm", "cached") if getattr(job, word))]
    return f"{job.kind} {job.rows or 2_700:,} rows ({', '.join(how)})"


def target(text: str, met: bool) -> str:
    return f"{text}: {'met' if met else 'NOT MET'}"


def speed_table(n_rows: int, found: dict[Job, Figures], first_size: int) -> Table:
    """Put the jobs of one size beside the loop, with their targets."""
    loop, jobs = found[LOOP], jobs_of(n_rows)
    peak = found[jobs_of(first_size)["build JSONL and Parquet"]]["peak_mb"]
    lines = [["", "rows/s", "× loop", "CPU s/M rows", "MB/s", "MB", "peak MB", "target"]]
    for name, job in {**jobs, f"plain Python loop, {LOOP_ROWS:,} rows": LOOP}.items():
        f, goals = found[job], []
        speed, times = f["rows"] / f["seconds"], f["rows"] / f["seconds"] / (loop["rows"] / loop["seconds"])
        if name.startswith(("JSONL", "build JSONL (")) and not job.one_thread:
            goals = [target(">= 10 × loop", times >= 10), target(">= 1,000,000 rows/s", speed >= 1e6)]
        elif job.formats == ("parquet",):
            goals = [target(">= 700,000 rows/s", speed >= 7e5)]
        elif len(job.formats) == 2 and n_rows == first_size:
            goals = [target("peak <= 500 MB", f["peak_mb"] <= 500)]
        elif len(job.formats) == 2:
            goals = [target(f"peak within 20 % of {peak:,.0f} MB", abs(f["peak_mb"] / peak - 1) <= 0.2)]
        numbers = (speed, times, f["cpu"] / f["rows"] * 1e6, f["bytes"] / f["seconds"] / 1e6, f["bytes"] / 1e6)
        shown = [f"{x:,.{d}f}" for x, d in zip((*numbers, f["peak_mb"]), (0, 1, 2, 0, 0, 0), strict=True)]
        lines.append([name, *shown, "; ".join(goals)])
    return f"{n_rows:,} rows with augmentation", lines


def default_table(found: dict[Job, Figures]) -> Table:
    """Show the whole default command."""
    lines = [["", "seconds", "CPU s", "peak MB", "target"]]
    for name, job in (
        ("first time: pack read, checked, compiled", FIRST),
        ("again: compiled pack from the cache", AGAIN),
    ):
        f = found[job]
        goals = [target("< 1.2 s", f["wall"] < 1.2), target("peak <= 200 MB", f["peak_mb"] <= 200)]
        lines.append([name, f"{f['wall']:.2f}", f"{f['cpu']:.2f}", f"{f['peak_mb']:,.0f}", "; ".join(goals)])
    return "`ruvtab build OUT`: 2,700 rows in all formats, from start to exit", lines


def original_table(n_rows: int, found: dict[Job, Figures]) -> Table:
    """Put figures beside those that the original Rust generator publishes."""
    large = jobs_of(n_rows)
    at_size = {"seeds": large["scan, seeds only"], "rows": large["scan, batches dropped"]}
    at_size |= {name: job for job in large.values() for name, formats in _FORMATS.items() if job.formats == formats}
    at_size["all"] = large["build JSONL and Parquet"]
    columns = ((small_jobs(True), "seconds"), (small_jobs(False), "wall"), (at_size, "seconds"))
    each: list[tuple[str, str, str, str, float]] = [
        ("seeds/s", "10,000", "seeds", "rows", 1),
        ("augmented rows/s, their seeds' time included", "5,000", "rows", "augmented", 1),
        ("rows/s", "7,000", "rows", "rows", 1),
        ("rows/s with files (all formats; many rows: JSONL, Parquet)", "", "all", "rows", 1),
        ("JSONL MB/s (full file and 3 splits)", "50", "JSONL", "bytes", 1e6),
        ("pretty JSON MB/s", "30", "pretty JSON", "bytes", 1e6),
        ("Parquet MB/s", "", "Parquet", "bytes", 1e6),
    ]
    lines = [["", "published", "2,700 rows", "2,700 with start-up", f"{n_rows:,} rows"]]
    for name, published, job, key, unit in each:
        speeds = [found[jobs[job]][key] / found[jobs[job]][clock] / unit for jobs, clock in columns]
        lines.append([name, published, *(f"{speed:,.{0 if speed >= 10 else 1}f}" for speed in speeds)])
    peaks = [found[jobs["all"]]["peak_mb"] for jobs, _ in columns]
    lines.append(["peak MB", "250", *(f"{peak:,.0f}" for peak in peaks)])
    return (
        "Beside the original's published figures: second call in a process, a whole process, many rows",
        lines,
    )


def machine_table(f: Figures) -> Table:
    lines = [["", "found", "would allow JSONL rows/s"]]
    kinds = {"copy": "memory copy", "first_write": "file write, same bytes", "write": "file write again, same memory"}
    for key, name in kinds.items():
        speed = f[f"{key}_gb_s"]
        lines.append([f"{name} GB/s", f"{speed:.2f}", f"{speed * 1e9 / f['row_bytes']:,.0f}"])
    zstd = f["zstd_mb_per_cpu_s"]
    lines.append(["zstd-1 MB per CPU-second, same bytes", f"{zstd:,.0f}", f"{zstd * 1e6 / f['row_bytes']:,.0f}"])
    return f"Limits of the machine ({f['row_bytes']:.0f} bytes a row)", lines


def printed(table: Table) -> None:
    title, lines = table
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(f"\n{title}\n{'-' * len(title)}")
    for line in lines:
        cells = [
            cell.ljust(width) if name in {"", "target"} else cell.rjust(width)
            for name, cell, width in zip(lines[0], line, widths, strict=True)
        ]
        print("  ".join(cells).rstrip())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000], metavar="N", help="sizes, smallest first")
    parser.add_argument("--large", action="store_true", help="10,000,000 rows too")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each job, of which the medians are shown")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    args = parser.parse_args()
    sizes = list(dict.fromkeys([*args.rows, *([10_000_000] if args.large else [])]))
    machine = Job("machine", sizes[0])
    sized = [job for size in sizes for job in jobs_of(size).values()]
    small = [*small_jobs(True).values(), *small_jobs(False).values()]
    before, start = busy_seconds(), time.perf_counter()
    found = measured_all([machine, FIRST, AGAIN, LOOP, *sized, *small], args.repeat)
    total, own = (after - then for after, then in zip(busy_seconds(), before, strict=True))
    n_cpus = len(os.sched_getaffinity(0))
    others = max(0.0, total - own) / (time.perf_counter() - start) / n_cpus
    about = {name: version(name) for name in ("polars", "pyarrow", "numpy")} | {"python": platform.python_version()}
    about |= {"processors": str(n_cpus), "used by others": f"{others:.0%}", "medians of": str(args.repeat)}
    tables = [default_table(found), *(speed_table(size, found, sizes[0]) for size in sizes)]
    tables += [original_table(sizes[0], found), machine_table(found[machine])]
    if args.json:
        figures = [asdict(job) | f for job, f in found.items()]
        shown = {title: [dict(zip(rows[0], row, strict=True)) for row in rows[1:]] for title, rows in tables}
        print(json.dumps({"about": about, "figures": figures, "tables": shown}, indent=2))
        return
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    for table in tables:
        printed(table)


if __name__ == "__main__":
    main()

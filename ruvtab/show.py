"""Print things as a person likes to read them, or as JSON for machines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruvtab.errors import OutputError


def as_json(value: object) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def size(n_bytes: float) -> str:
    """Write a number of bytes with a decimal unit."""
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.2f} GB"


def shares(stats: dict[str, Any]) -> None:
    """Print the share of every label."""
    for column in ("category", "complexity", "expected_model", "domain", "origin", "split"):
        of_column = stats["shares"][column]
        print(f"{column:<15}" + "  ".join(f"{label} {share:.1%}" for label, share in of_column.items()))


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a plain table, columns of numbers to the right."""
    widths = [max(len(r[i]) for r in (header, *rows)) for i in range(len(header))]
    numeric = [all(r[i][:1].isdigit() or not r[i] for r in rows) for i in range(len(header))]
    print(f"\n{title}")
    for r in (header, ["─" * w for w in widths], *rows):
        print(
            "  "
            + "  ".join(
                v.rjust(w) if right else v.ljust(w) for v, w, right in zip(r, widths, numeric, strict=True)
            ).rstrip()
        )
    print()


def written(path: Path, text: str) -> None:
    """Write a text file and the folders above it; raises OutputError where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}; name another place") from error


@contextmanager
def waiting(what: str, *, quiet: bool) -> Iterator[None]:
    """Show that something is at work on a terminal; elsewhere nothing."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


@contextmanager
def progress(unit: str, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Show a bar with rate and time left on a terminal; elsewhere nothing."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn(unit),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task, started = bar.add_task(unit, total=None, rate=""), time.perf_counter()
        yield lambda done, total: bar.update(
            task, completed=done, total=total, rate=f"{done / (time.perf_counter() - started):,.0f} {unit}/s"
        )

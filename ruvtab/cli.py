"""The command line: parse, call, print. Heavy imports wait until a command runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number

from ruvtab import __version__, judge, show
from ruvtab.settings import AsJson, Folder, Settings, pairs_of, part_of

if TYPE_CHECKING:
    from ruvtab.plan import Plan

app = App(
    name="ruvtab",
    version=__version__,
    help_format="markdown",
    help=(
        "Build labelled datasets of software-task requests for training task routers.\n\n"
        "Start with `ruvtab build dataset` and open `dataset/README.md`."
    ),
    suppress_keyboard_interrupt=False,
)


_Shared = Settings()


@app.command
def build(
    out: Annotated[str, Parameter(help="The dataset folder, or a URL such as s3://bucket/prefix.")],
    *,
    settings: Settings = _Shared,
    formats: Annotated[str, Parameter(help="Files to write, of jsonl, json, parquet.")] = "jsonl,json,parquet",
    shard_rows: Annotated[
        int | None, Parameter(help="Rows per shard, each a file per split [default: 2000000].", validator=Number(gte=1))
    ] = None,
    compress: Annotated[bool, Parameter(negative="", help="Write JSON lines compressed, as .jsonl.zst.")] = False,
    shard: Annotated[str | None, Parameter(help="Make part I/N of the shards only; `merge` finishes.")] = None,
    storage_option: Annotated[
        list[str] | None, Parameter(negative="", help="KEY=VALUE for object storage, such as region or endpoint.")
    ] = None,
    overwrite: Annotated[bool, Parameter(negative="", help="Replace the dataset that is in the folder.")] = False,
    json: AsJson = False,
) -> None:
    """Build a dataset folder: JSONL, pretty JSON, Parquet, stats, card and manifest.

    The same command again goes on where a stopped build ended, and mends files of a finished one that were harmed.

    For example:

    * `ruvtab build dataset` makes the default 2,700 rows.
    * `ruvtab build big --rows 1000000 --formats parquet`
    * `ruvtab build hard --holdout subject --split 0.8,0.1,0.1`
    * `ruvtab build mine --pack my-pack --seed 7 --overwrite`
    * `ruvtab build s3://bucket/prefix --storage-option region=eu-central-1`
    * `ruvtab build big --rows 100000000 --shard 3/16` is one job of sixteen, which `merge` finishes.
    """
    from ruvtab.shard import SHARD_ROWS
    from ruvtab.target import build as build_dataset

    started, n_made = time.perf_counter(), 0
    with show.progress("rows", quiet=json) as bar:

        def progress(done: int, total: int) -> None:
            nonlocal n_made
            n_made = done
            if bar is not None:
                bar(done, total)

        manifest = build_dataset(
            settings.resolved(),
            out,
            formats=[f.strip() for f in formats.split(",") if f.strip()],
            overwrite=overwrite,
            shard_rows=SHARD_ROWS if shard_rows is None else shard_rows,
            compress=compress,
            part=part_of(shard),
            storage_options=pairs_of("--storage-option", storage_option or []),
            progress=progress,
        )
    if shard is not None:
        print(f"part {shard}: {n_made:,} rows in {out}. When all parts are made: ruvtab merge {out}")
        return
    seconds = time.perf_counter() - started
    if json:
        show.as_json({"out": str(out), "seconds": round(seconds, 3), **manifest})
        return
    if not n_made:
        print(f"{out} is this very dataset and whole: nothing was left to make. Fingerprint {manifest['fingerprint']}")
        return
    show.shares(manifest["stats"])
    show.table(
        "Files",
        ["file", "rows", "size"],
        [[f["name"], f"{f['rows']:,}" if f["rows"] else "", show.size(f["bytes"])] for f in manifest["files"]],
    )
    n_bytes = sum(f["bytes"] for f in manifest["files"])
    print(
        f"{manifest['rows']:,} rows in {seconds:.2f} s: {manifest['rows'] / seconds:,.0f} rows/s, "
        f"{show.size(n_bytes / seconds)}/s\n"
        f"mean quality {manifest['stats']['mean_quality']}, fingerprint {manifest['fingerprint']}, in {out}"
    )


@app.command
def merge(
    out: Folder,
    *,
    pack: Annotated[Path | None, Parameter(help="The pack of the parts, if not the English one.")] = None,
    json: AsJson = False,
) -> None:
    """Finish a dataset whose shards were made in parts, with `--shard I/N`.

    For example:

    * `ruvtab merge big`
    * `ruvtab merge mine --pack my-pack`
    """
    from ruvtab.builder import merge as merged

    with show.progress("rows", quiet=json) as progress:
        manifest = merged(out, pack=pack, progress=progress)
    if json:
        show.as_json({"out": str(out), **manifest})
        return
    show.shares(manifest["stats"])
    print(
        f"{manifest['rows']:,} rows in {len(manifest['files'])} files, fingerprint {manifest['fingerprint']}, in {out}"
    )


@app.command
def preview(
    *,
    settings: Settings = _Shared,
    n: Annotated[int, Parameter(help="Rows to show.", validator=Number(gte=1))] = 10,
    category: str | None = None,
    level: str | None = None,
    domain: str | None = None,
    family: str | None = None,
    row: Annotated[int | None, Parameter(help="Show this row of the plan.")] = None,
    json: AsJson = False,
) -> None:
    """Show a few rows without building.

    For example:

    * `ruvtab preview`
    * `ruvtab preview --category NAME --level NAME --n 5`
    * `ruvtab preview --pack my-pack --family ID`
    * `ruvtab preview --rows 1000000000 --row 123456789`
    """
    from ruvtab.builder import plan_of
    from ruvtab.errors import ConfigError

    plan = plan_of(settings.resolved())
    taxonomy = plan.pack.taxonomy
    wanted = {
        "category": (category, list(taxonomy.categories)),
        "complexity": (level, list(taxonomy.levels)),
        "domain": (domain, taxonomy.domains),
        "family": (family, plan.pack.families["id"].to_list()),
    }
    unknown = [
        f"unknown {name} {label!r}; there are {', '.join(known)}"
        for name, (label, known) in wanted.items()
        if label and label not in known
    ]
    if row is not None and not 0 <= row < plan.n_rows:
        unknown.append(f"row {row:,} is not in the plan; its rows are 0 to {plan.n_rows - 1:,}")
    if unknown:
        raise ConfigError("\n".join(unknown))
    found = list(_matching(plan, {name: label for name, (label, _) in wanted.items() if label}, n, row))
    if json:
        show.as_json(found)
        return
    for r in found:
        print(
            f"\n{r['category']} · {r['complexity']} · {r['domain']} → {r['output_agent']}, {r['expected_model']}   "
            f"[{r['origin']}, {r['family']}, quality {r['quality_score']:.3f}]"
        )
        print(f"  {r['input']}" + (f"\n  context: {r['context']}" if r["context"] else ""))
    print(f"\n{len(found)} of {plan.n_rows:,} planned rows")


def _matching(plan: Plan, labels: dict[str, str], n: int, row: int | None) -> Iterator[dict[str, Any]]:
    """Yield the first n rows of a plan that have the labels; looks at a million rows at most."""
    import polars as pl

    from ruvtab.render import Renderer

    renderer = Renderer(plan)
    first, last, step = (
        (row, row + 1, 1) if row is not None else (0, min(plan.n_rows, 1_000_000), 4096 if labels else max(n, 1))
    )
    for start in range(first, last, step):
        df = pl.DataFrame(pl.from_arrow(renderer.batch(renderer.chunk(start, min(start + step, last)))))
        for name, label in labels.items():
            df = df.filter(pl.col(name) == label)
        yield from df.head(n).to_dicts()
        n -= min(n, len(df))
        if not n:
            return


@app.command
def plan(
    *,
    settings: Settings = _Shared,
    cells: Annotated[bool, Parameter(negative="", help="List every cell.")] = False,
    json: AsJson = False,
) -> None:
    """Show quotas and capacity, without making any text.

    For example:

    * `ruvtab plan`
    * `ruvtab plan --rows 1000000000 --cells`
    """
    from ruvtab.builder import plan_of

    made = plan_of(settings.resolved())
    levels, domains = list(made.pack.taxonomy.levels), made.pack.taxonomy.domains
    quotas, capacity = made.quotas(), made.capacity()
    if json:
        show.as_json(
            {
                "rows": made.n_rows,
                "capacity_rows": int(capacity["rows"].sum()),
                "quotas": quotas.to_dicts(),
                "cells": capacity.to_dicts(),
            }
        )
        return
    show.table(
        f"Quotas: {made.n_rows:,} rows",
        ["category", "level", "seeds", "room for seeds", *quotas.columns[4:]],
        [[str(x) if isinstance(x, str) else f"{x:,}" for x in r] for r in quotas.rows()],
    )
    tight = capacity if cells else capacity.sort("used", "seeds", descending=True).head(10)
    show.table(
        "Cells" if cells else "Fullest cells (--cells lists all)",
        ["family", "domain", "scenarios", "phrasings", "seeds", "room", "used"],
        [
            [
                r["family"],
                r["domain"],
                f"{r['scenarios']:,}",
                f"{r['phrasings']:,}",
                f"{r['seeds']:,}",
                f"{r['room']:,}",
                f"{r['used']:.1%}",
            ]
            for r in tight.to_dicts()
        ],
    )
    print(
        f"{len(made.pack.families)} families, {len(made.pack.templates)} templates, {len(capacity)} cells "
        f"in {len(domains)} domains at {len(levels)} levels; "
        f"the pack can say {int(capacity['rows'].sum()):,} different rows"
    )


for command in (judge.check, judge.verify, judge.audit, judge.evaluate, judge.route):
    app.command(command)


def _fail(message: str, code: int = 2) -> NoReturn:
    print(f"ruvtab: {message}", file=sys.stderr)
    raise SystemExit(code)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line: exit code 0 when all is well, 1 when a check does not hold, 2 for wrong input."""
    from ruvtab.errors import RuvtabError

    try:
        app(arguments, exit_on_error=False, print_error=True)
    except CycloptsError:
        raise SystemExit(2) from None
    except RuvtabError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        _fail("interrupted; nothing half-made was left behind. Run the same command again", 130)
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None

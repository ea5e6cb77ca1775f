"""Twenty readable rows per stage, kept: what changes them is seen in the diff. UPDATE_GOLDEN=1 writes them anew."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ruvtab.builder import plan_of
from ruvtab.config import config_of
from ruvtab.plan import Plan
from ruvtab.render import Renderer

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def plan(small: Path) -> Plan:
    return plan_of(config_of({"rows": 400, "pack": small, "seed": 1}))


def planned(plan: Plan) -> pl.DataFrame:
    return plan.rows(0, 20).with_columns(pl.col("group").cast(pl.String))


def quotas(plan: Plan) -> pl.DataFrame:
    return plan.quotas()


def capacity(plan: Plan) -> pl.DataFrame:
    return plan.capacity()


def rendered(plan: Plan) -> pl.DataFrame:
    renderer = Renderer(plan)
    df = pl.DataFrame(pl.from_arrow(renderer.batch(renderer.chunk(0, 20))))
    return df.with_columns(pl.col("quality_score").cast(pl.Float64).round(4))


@pytest.mark.parametrize("stage", [quotas, capacity, planned, rendered], ids=lambda stage: stage.__name__)
def test_stages_make_the_rows_they_made(stage: Callable[[Plan], pl.DataFrame], plan: Plan) -> None:
    rows: list[dict[str, Any]] = stage(plan).to_dicts()
    file = GOLDEN / f"{stage.__name__}.jsonl"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    kept = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert rows == kept

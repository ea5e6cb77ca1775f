"""Where in a TOML file something stands: steps from a table to a key to a text, each inside the one before."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple


class Step(NamedTuple):
    """One thing to find. `at` marks the place in the pattern; `until` ends the region in which later steps look."""

    pattern: str
    until: str = ""


def family(name: str, count: int = 1) -> Step:
    """Find the `id` of the count-th [[family]] with that id."""
    table = r"^\s*\[\[family\]\]"
    block = rf"{table}(?:(?!{table})[\s\S])*?^\s*(?P<at{{}}>id\s*=\s*[\"']{re.escape(name)}[\"'])"
    skipped = "".join(block.replace("?P<at{}>", "?:") + r"[\s\S]*?" for _ in range(count - 1))
    return Step(skipped + block.replace("{}", ""), table)


def header(name: str) -> Step:
    """Find a [table]."""
    return Step(rf"^\s*(?P<at>\[{re.escape(name)}\])", r"^\s*\[")


def key(name: str) -> Step:
    """Find a key = value."""
    return Step(rf"^\s*(?P<at>\"?{re.escape(name)}\"?)\s*=")


def text(value: str) -> Step:
    """Find a string, as TOML or JSON spells it."""
    spelled = {json.dumps(value, ensure_ascii=False), json.dumps(value), f"'{value}'"}
    return Step("(?P<at>" + "|".join(map(re.escape, sorted(spelled))) + ")")


def path(loc: Iterable[object], table: str = "") -> list[Step]:
    """Find a value by its keys, each the header of a table or a key; `table` is the table that they are in."""
    steps = []
    for part in (part for part in loc if isinstance(part, str)):
        table = f"{table}.{part}" if table else part
        steps.append(Step(rf"^\s*(?P<at>\[{re.escape(table)}\]|\"?{re.escape(part)}\"?\s*=)", r"^\s*\["))
    return steps


def line_of(file: Path, *steps: Step) -> int:
    """Return the line of the last step found, each looked for inside the one found before; 0 where none is."""
    content = _content(file, file.stat().st_mtime_ns if file.exists() else 0)
    start, end, found = 0, len(content), -1
    for step in steps:
        match = re.compile(step.pattern, re.M).search(content, start, end)
        if match is None:
            continue
        found, start = match.start("at"), match.end()
        following = re.compile(step.until, re.M).search(content, start, end) if step.until else None
        end = following.start() if following else end
    return 0 if found < 0 else content.count("\n", 0, found) + 1


@lru_cache(maxsize=64)
def _content(file: Path, _changed: int) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return ""

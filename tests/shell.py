"""Run ruvtab in a process of its own, as a user does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RUVTAB = (sys.executable, "-m", "ruvtab")


def run(*arguments: object, code: int = 0) -> str:
    """Return what was printed: results, or the error when it is to fail with code 2."""
    command = [*RUVTAB, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert (done.stdout if code == 2 else done.stderr) == ""
    assert "Traceback" not in done.stderr
    return done.stderr if code == 2 else done.stdout


def content(folder: Path) -> dict[str, bytes]:
    """Read every file below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

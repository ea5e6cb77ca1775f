"""Run ruvtab as a user does: in a process of its own, or in this one, which is faster."""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from ruvtab import cli

RUVTAB = (sys.executable, "-m", "ruvtab")


def run(*arguments: object, code: int = 0) -> str:
    """Return what was printed: results, or the error when it is to fail with code 2."""
    command = [*RUVTAB, *map(str, arguments)]
    nothing = subprocess.DEVNULL
    done = subprocess.run(command, stdin=nothing, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert (done.stdout if code == 2 else done.stderr) == ""
    assert "Traceback" not in done.stderr
    return done.stderr if code == 2 else done.stdout


def here(*arguments: object, code: int = 0) -> str:
    """Do what `run` does in this process."""
    left: object = 0
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        try:
            cli.main(list(map(str, arguments)))
        except SystemExit as end:
            left = end.code
    assert (left, (out if code == 2 else err).getvalue()) == (code, ""), out.getvalue() + err.getvalue()
    return (err if code == 2 else out).getvalue()


def content(folder: Path) -> dict[str, bytes]:
    """Read every file below a folder."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

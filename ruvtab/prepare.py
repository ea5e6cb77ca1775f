"""A pack ready to plan with: read, checked and compiled, or taken from the cache of packs that were so before.

The cache holds compiled packs by the content of their files and of ruvtab itself, so it is never stale. It is a folder
of NumPy archives without pickles: $RUVTAB_CACHE (empty: no cache), else ruvtab under $XDG_CACHE_HOME or ~/.cache.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from functools import cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from ruvtab import check
from ruvtab.lexicon import Lexicon, compiled
from ruvtab.pack import Meta, Pack, default_pack, digest_of
from ruvtab.taxonomy import Taxonomy

KEPT = 8
_ARRAYS = ("positions", "forms", "uses", "scenario_rows", "detail_rows", "frames")


def prepared(root: Path | None = None) -> tuple[Pack, Lexicon]:
    """Return a pack and its lexicon, the default pack when `root` is None.

    Raises PackError with all faults of the pack, CapacityError where its alternations multiply beyond bounds.
    """
    root = default_pack() if root is None else Path(root)
    entry = _entry(root)
    if entry is not None and (found := _loaded(entry)) is not None:
        return found
    source = check.load(root)
    lexicon = compiled(source)
    if entry is not None:
        _store(entry, source, lexicon)
    return source, lexicon


def _entry(root: Path) -> Path | None:
    """Name the cache file of a pack as it is now; None where there is no cache."""
    if os.environ.get("RUVTAB_CACHE") == "" or not root.is_dir():
        return None
    home = os.environ.get("RUVTAB_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ruvtab"
    try:
        key = blake2b(f"{digest_of(root)}{_code()}".encode(), digest_size=16).hexdigest()
    except OSError:
        return None
    return Path(home) / f"{key}.npz"


@cache
def _code() -> str:
    """Hash ruvtab's own source: a changed compiler compiles anew."""
    total = blake2b(digest_size=16)
    for file in sorted(Path(__file__).parent.glob("*.py")):
        total.update(file.read_bytes())
    return total.hexdigest()


def _loaded(entry: Path) -> tuple[Pack, Lexicon] | None:
    try:
        with entry.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            head = json.loads(stored["head"].tobytes())
            frames = {
                name: pl.read_ipc(io.BytesIO(stored[name].tobytes()))
                for name in ("families", "templates", "cells", "sites")
            }
            offsets, data = (pa.py_buffer(stored[f"pool_{part}"]) for part in ("offsets", "data"))
            arrays = {name: stored[name] for name in _ARRAYS}
        pack = Pack(
            Meta(**head["meta"]), Taxonomy(**head["taxonomy"]), frames["families"], frames["templates"], head["digest"]
        )
        pool = pa.StringArray.from_buffers(head["pool"], offsets, data)
        lexicon = Lexicon(pool, **arrays, cells=frames["cells"], sites=frames["sites"], **head["lexicon"])
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, pl.exceptions.PolarsError):
        return None
    return pack, lexicon


def _store(entry: Path, pack: Pack, lexicon: Lexicon) -> None:
    """Put a compiled pack into the cache and drop the oldest beyond KEPT; not being able to write one is no error."""
    _, offsets, data = lexicon.pool.buffers()
    head = {
        "meta": pack.meta.model_dump(mode="json"),
        "taxonomy": pack.taxonomy.model_dump(mode="json"),
        "digest": pack.digest,
        "pool": len(lexicon.pool),
        "lexicon": {"n_framed_details": lexicon.n_framed_details, "frame_share": lexicon.frame_share},
    }
    blobs = {"head": json.dumps(head).encode(), "pool_offsets": offsets, "pool_data": data}
    for name, lf in (
        ("families", pack.families),
        ("templates", pack.templates),
        ("cells", lexicon.cells),
        ("sites", lexicon.sites),
    ):
        stream = io.BytesIO()
        lf.write_ipc(stream)
        blobs[name] = stream.getvalue()
    part = entry.with_name(f"{entry.stem}.{os.getpid()}.part")
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            arrays = {name: np.frombuffer(blob, np.uint8) for name, blob in blobs.items()}
            np.savez(file, allow_pickle=False, **arrays, **{name: getattr(lexicon, name) for name in _ARRAYS})
        part.replace(entry)
        for old in sorted(entry.parent.glob("*.npz"), key=lambda p: p.stat().st_mtime)[:-KEPT]:
            old.unlink(missing_ok=True)
    except OSError:
        part.unlink(missing_ok=True)

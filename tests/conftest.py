from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from packs import Files, small_pack, write_pack
from shell import here


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests out of the user's cache, and tables of one width."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUVTAB_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("COLUMNS", "200")
        yield


@pytest.fixture
def pack_files() -> Files:
    return small_pack()


@pytest.fixture
def make_pack(tmp_path: Path) -> Callable[[Files], Path]:
    return lambda files: write_pack(tmp_path / "pack", files)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pack(tmp_path_factory.mktemp("small"), small_pack())


@pytest.fixture(scope="session")
def built(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of the small pack, to read or to copy."""
    out = tmp_path_factory.mktemp("built") / "dataset"
    here("build", out, "--pack", small)
    return out

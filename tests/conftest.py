from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from packs import Files, small_pack, write_pack


@pytest.fixture
def pack_files() -> Files:
    return small_pack()


@pytest.fixture
def make_pack(tmp_path: Path) -> Callable[[Files], Path]:
    return lambda files: write_pack(tmp_path / "pack", files)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pack(tmp_path_factory.mktemp("small"), small_pack())

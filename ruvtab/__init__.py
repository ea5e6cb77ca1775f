"""ruvtab builds labelled datasets of task requests for training task routers."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# of Arrow's allocators the one that gives memory back: 30 MB less for a small build, 100 MB for a large one
if sys.platform == "linux":
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")

if TYPE_CHECKING:
    from ruvtab.builder import merge, scan
    from ruvtab.config import AugmentationConfig, DatasetConfig
    from ruvtab.dataset import TaskDataset, generate
    from ruvtab.errors import CapacityError, ConfigError, OutputError, PackError, RuvtabError
    from ruvtab.render import row_id
    from ruvtab.target import build

__all__ = [
    "AugmentationConfig",
    "CapacityError",
    "ConfigError",
    "DatasetConfig",
    "OutputError",
    "PackError",
    "RuvtabError",
    "TaskDataset",
    "__version__",
    "build",
    "generate",
    "merge",
    "row_id",
    "scan",
]

_HOMES = {
    "builder": ("merge", "scan"),
    "config": ("AugmentationConfig", "DatasetConfig"),
    "dataset": ("TaskDataset", "generate"),
    "errors": ("CapacityError", "ConfigError", "OutputError", "PackError", "RuvtabError"),
    "render": ("row_id",),
    "target": ("build",),
}


def __getattr__(name: str) -> Any:
    home = next((module for module, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module 'ruvtab' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"ruvtab.{home}"), name)
    return value

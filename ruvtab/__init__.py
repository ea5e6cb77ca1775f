"""ruvtab builds labelled datasets of task requests for training task routers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ruvtab.build import build, scan
    from ruvtab.config import AugmentationConfig, DatasetConfig
    from ruvtab.dataset import TaskDataset, generate
    from ruvtab.errors import CapacityError, ConfigError, OutputError, PackError, RuvtabError
    from ruvtab.render import row_id

_HOMES = {
    "build": "build",
    "scan": "build",
    "AugmentationConfig": "config",
    "DatasetConfig": "config",
    "TaskDataset": "dataset",
    "generate": "dataset",
    "CapacityError": "errors",
    "ConfigError": "errors",
    "OutputError": "errors",
    "PackError": "errors",
    "RuvtabError": "errors",
    "row_id": "render",
}
__all__ = [*_HOMES, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ruvtab' has no attribute {name!r}")
    return getattr(import_module(f"ruvtab.{_HOMES[name]}"), name)

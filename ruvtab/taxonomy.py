"""Labels as data: categories with their agents, levels, domains, models, and the routing table between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import polars as pl
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


def _ordered(bounds: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= bounds[0] <= bounds[1] <= 1:
        raise ValueError("needs [low, high] with 0 <= low <= high <= 1")
    return bounds


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]


class Category(BaseModel):
    """What one category of task is answered by: its agent, its quality range, and a model per level."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    agent: Label
    quality: Range
    routing: dict[Label, Label]


class Taxonomy(BaseModel):
    """The labels of a pack, in code order. `levels` maps each level to its share of rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    categories: dict[Label, Category] = Field(min_length=1)
    levels: dict[Label, Annotated[float, Field(gt=0, le=1)]] = Field(min_length=1)
    domains: list[Label] = Field(min_length=1)
    models: list[Label] = Field(min_length=1)

    def faults(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield what labels contradict each other: the keys of the place, and what is wrong there."""
        known = f"levels are {', '.join(self.levels)}, models are {', '.join(self.models)}"
        for name, category in self.categories.items():
            place = ("categories", name, "routing")
            for level in [level for level in self.levels if level not in category.routing]:
                yield place, f"routing of {name} has no model for level {level}; add one"
            for level, model in category.routing.items():
                if level not in self.levels or model not in self.models:
                    yield place, f"routing of {name} sends {level} to {model!r}; {known}"
        for field in ("domains", "models"):
            labels = getattr(self, field)
            for label in sorted({label for label in labels if labels.count(label) > 1}):
                yield (field,), f"{label!r} stands twice in {field}"
        if abs(sum(self.levels.values()) - 1) > 1e-6:
            yield ("levels",), f"shares of levels sum to {sum(self.levels.values()):g}; make them sum to 1"

    @property
    def routing(self) -> pl.DataFrame:
        """One row per category and complexity, in code order: category, complexity, output_agent, expected_model."""
        names = pl.DataFrame(
            {"category": list(self.categories), "output_agent": [c.agent for c in self.categories.values()]}
        )
        models = [c.routing[level] for c in self.categories.values() for level in self.levels]
        return names.join(
            pl.DataFrame({"complexity": list(self.levels)}), how="cross", maintain_order="left_right"
        ).select("category", "complexity", "output_agent", pl.Series("expected_model", models))

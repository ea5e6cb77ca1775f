"""What routing costs: dated prices, a stated number of tokens, and the price of sending a task to too small a model."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ruvtab.errors import ConfigError
from ruvtab.pack import default_pack

# tokens of one request and of its answer: an assumption, printed with every figure that rests on it
TOKENS = (1_500, 800)

Codes = npt.NDArray[np.int64]


class Price(BaseModel):
    """Prices from a day on: model → USD per million tokens of input and of output."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: date = Field(alias="from")
    models: dict[str, tuple[float, float]]


def prices_of(path: Path | None = None, day: date | None = None) -> Price:
    """Read the prices that hold on a day, the latest without one; raises ConfigError where there are none."""
    file = path if path is not None else default_pack().parent / "prices.toml"
    try:
        read = [Price.model_validate(p) for p in tomllib.loads(file.read_text(encoding="utf-8")).get("price", [])]
    except (OSError, ValueError, ValidationError) as error:
        raise ConfigError(f"{file}: prices cannot be read: {error}") from error
    held = [price for price in read if day is None or price.since <= day]
    if not held:
        raise ConfigError(f"{file}: holds no [[price]]" + (f" from {day} or before" if day else ""))
    return max(held, key=lambda price: price.since)


def cost_of(
    needed: Codes, chosen: Codes, models: list[str], price: Price, tokens: tuple[int, int] = TOKENS
) -> dict[str, Any]:
    """Cost of 1,000 requests in USD: routed, with always the dearest model, and with the right one each time.

    `needed` and `chosen` are codes of `models`, cheapest first. A request sent to too small a model is paid twice: its
    answer fails and the right model is asked. `under` and `over` are shares of rows, `regret` the USD per 1,000 that
    under-routing costs beyond the right choice, `waste` those of over-routing.

    Raises ConfigError where a model has no price.
    """
    if missing := [model for model in models if model not in price.models]:
        raise ConfigError(f"no price for {', '.join(missing)} from {price.since} on; add it to the prices file")
    per_request = np.array([np.dot(price.models[model], tokens) / 1e6 for model in models])
    under, over = chosen < needed, chosen > needed
    paid = per_request[chosen] + np.where(under, per_request[needed], 0)
    return {
        "prices_from": price.since.isoformat(),
        "tokens": list(tokens),
        "routed": _per_thousand(paid),
        "always_largest": _per_thousand(np.full(len(needed), per_request.max())),
        "right": _per_thousand(per_request[needed]),
        "under": round(float(under.mean()), 4),
        "over": round(float(over.mean()), 4),
        "regret": _per_thousand(np.where(under, per_request[chosen], 0)),
        "waste": _per_thousand(np.where(over, per_request[chosen] - per_request[needed], 0)),
    }


def _per_thousand(usd: npt.NDArray[np.float64]) -> float:
    return round(float(usd.mean()) * 1000, 3)

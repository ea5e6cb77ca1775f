"""The row contract: every column, its Arrow type, and where it stands in a JSON line."""

from __future__ import annotations

import pyarrow as pa

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("group_id", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("family", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("input", pa.string(), nullable=False),
        pa.field("context", pa.string(), nullable=False),
        pa.field("output_agent", pa.string(), nullable=False),
        pa.field("category", pa.string(), nullable=False),
        pa.field("complexity", pa.string(), nullable=False),
        pa.field("domain", pa.string(), nullable=False),
        pa.field("expected_model", pa.string(), nullable=False),
        pa.field("quality_score", pa.float32(), nullable=False),
        pa.field("tags", pa.list_(pa.field("element", pa.string())), nullable=False),
    ]
)

METADATA = ("category", "complexity", "domain", "expected_model", "quality_score", "tags")
LABELS = ("category", "complexity", "domain", "expected_model")
JSON_ORDER = ("input", "context", "output_agent", "metadata", "id", "group_id", "origin", "split", "family", "language")

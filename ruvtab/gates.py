"""What one row must not have, one small expression each; true means the row is bad."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

MIN_CHARS = 3
_PLACEHOLDER = (
    r"(^|[^$/\w{])\{\{?\s*[A-Za-z_][\w. #^:-]*\}?\}"  # {slot}, {{ slot }}; not ${shell} nor /path/{id}
    r"|<[A-Z][A-Z_ ]{2,}>|\[(?i:insert|your|placeholder|todo|tbd)\b[^\]]*\]|(?i:\blorem ipsum\b)"
)
_MARKUP = (
    r"<\|\w+\|>|\[/?INST\]|<</?SYS>>|(?m:^### (?:Instruction|Response|Input):)"  # chat templates
    r"|&(?:amp|lt|gt|quot|apos|nbsp|#\d+|#x[0-9a-fA-F]+);"
)
_DAMAGE = (
    r"\x{FFFD}|[\x00-\x08\x0B\x0C\x0E-\x1F\x7F-\x9F]|Ã[\x{80}-\x{BF}ƒ¼¤¶Ÿ©¨]|â€[™œ\x{9D}“”¦˜]|Â[\x{A0}-\x{BF}]|\x{FEFF}"
)
_SECRET = (
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\bsk-[A-Za-z0-9_-]{20,}|\bAIza[0-9A-Za-z_-]{35}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}|\bglpat-[A-Za-z0-9_-]{20}\b"
)
_PERSONAL = (
    r"(?i)\b[a-z0-9._%+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}\b"  # mail address
    r"|\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"  # IBAN
    r"|\b\d{3}-\d{2}-\d{4}\b|\+\d{1,3}[ -]?(?:\(\d+\)[ -]?)?\d{2,4}(?:[ -]?\d{2,4}){2,4}\b"  # SSN, telephone
    r"|\b(?:4\d{3}|5[1-5]\d{2}|3[47]\d{2})(?:[ -]?\d{4}){2}[ -]?\d{3,4}\b"  # payment card
)
# RFC 2606 keeps these names free, so that nobody lives there
_RESERVED = r"(?i)[a-z0-9._%+-]+@(?:[a-z0-9-]+\.)*(?:example\.(?:com|org|net)|[a-z0-9-]+\.(?:example|test|invalid))\b"
_CODE = r"`[^`]*`"


def _both() -> pl.Expr:
    return pl.concat_str("input", pl.lit("\n"), "context", ignore_nulls=True)


def is_empty() -> pl.Expr:
    """Text missing, blank or of fewer than MIN_CHARS characters."""
    return pl.col("input").fill_null("").str.strip_chars().str.len_chars() < MIN_CHARS


def is_placeholder_left() -> pl.Expr:
    """A slot that nobody filled, outside code."""
    return _both().str.replace_all(_CODE, "").str.contains(_PLACEHOLDER)


def is_markup_left() -> pl.Expr:
    """Tokens of a chat template or HTML entities, outside code."""
    return _both().str.replace_all(_CODE, "").str.contains(_MARKUP)


def is_encoding_damaged() -> pl.Expr:
    """Replacement and control characters, or UTF-8 that was read as Latin-1."""
    return _both().str.contains(_DAMAGE)


def is_secret() -> pl.Expr:
    """Something shaped like a key, token or private key."""
    return _both().str.contains(_SECRET)


def is_personal() -> pl.Expr:
    """Something shaped like a mail address (but example.org and its like), IBAN, telephone, card or social number."""
    return _both().str.replace_all(_RESERVED, "").str.contains(_PERSONAL)


def is_label_missing(labels: tuple[str, ...]) -> pl.Expr:
    """Any label null or blank."""
    return pl.any_horizontal(pl.col(label).fill_null("").str.strip_chars() == "" for label in labels)


def is_other_model(routing: Mapping[str, Mapping[str, str]]) -> pl.Expr:
    """A model that is not the routing table's for category and complexity, where the table has them."""
    return pl.any_horizontal(
        (pl.col("category") == c) & (pl.col("complexity") == level) & pl.col("expected_model").ne_missing(model)
        for c, models in routing.items()
        for level, model in models.items()
    ).fill_null(False)


ROW_GATES: Mapping[str, tuple[Callable[[], pl.Expr], str]] = {
    "empty": (is_empty, f"no text, or fewer than {MIN_CHARS} characters"),
    "placeholder": (is_placeholder_left, "a slot that nobody filled"),
    "markup": (is_markup_left, "tokens of a chat template, or HTML entities"),
    "encoding": (is_encoding_damaged, "replacement or control characters, UTF-8 read as Latin-1"),
    "secret": (is_secret, "something shaped like a key or token"),
    "personal": (is_personal, "something shaped like a mail address, telephone, card, IBAN or social number"),
}

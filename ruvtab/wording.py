"""The little language of wordings: `(Add|Put in) {a feature.noun} in {part.file}`.

A wording is literal text, slots and alternations. It is flattened into *forms*: a form is a sequence of slots and
choices, where a choice is a tuple of literal texts. Alternations of plain text stay choices and are never multiplied
out; alternations that hold slots become separate forms, because they need other slots.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from math import prod
from typing import NamedTuple

MAX_FORMS = 64

_TOKEN = re.compile(r"\\(?P<escaped>.)|\{(?P<slot>[^{}]*)\}|(?P<mark>[(|)])|(?P<text>[^\\{}(|)]+)|(?P<stray>.)", re.S)
_SLOT = re.compile(r"(\^)?(a )?([a-z][a-z0-9_]*)(#2)?\.([a-z][a-z0-9_]*)")
_AN = re.compile(r"[aeio]|u(?!ni(?!n)|s[ae]|r[ael]|t[ei])|hour|honest|heir|[FHLMNRSX](?=[A-Z0-9]{1,4}\b|-)|[AEIO]")
_A = re.compile(
    r"one\b|once|eu|ewe|U[A-Z]|One"
    r"|(SCIM|SAML|SOAP|REST|RAM|ROM|NAT|MAC|SIM|FIFO|RAID|SIEM|SOC|FIDO|MIDI|NUMA|NAS|RISC|ROS|SASS|SAST|HAR|HEIC|SARIF|RUM)\b"
)


class WordingError(ValueError):
    """A wording cannot be read; the message says why and how to mend it."""


class Slot(NamedTuple):
    """A column of a vocabulary table; `second` takes another row than the first, `table` is "" for a frame's `{}`."""

    table: str
    column: str
    second: bool = False
    article: bool = False
    capital: bool = False

    def __str__(self) -> str:
        mods = "^" * self.capital + "a " * self.article
        return f"{{{mods}{self.table}{'#2' * self.second}.{self.column}}}" if self.table else "{}"


Choice = tuple[str, ...]
Form = tuple[Slot | Choice, ...]
_Option = tuple[Slot | str, ...]

INPUT = Slot("", "")


def parse(wording: str) -> list[Form]:
    """Read a wording into its forms, at least one.

    Raises WordingError for an unknown mark, an unbalanced or nested alternation, or two equal alternatives.
    """
    segments = list(_segments(list(_tokens(wording))))
    spread = [s for s in segments if len(s) > 1 and any(isinstance(atom, Slot) for option in s for atom in option)]
    n_forms = prod(len(s) for s in spread)
    if n_forms > MAX_FORMS:
        raise WordingError(f"alternations with slots make {n_forms:,} forms, at most {MAX_FORMS}; split the wording")
    return [_form(segments, dict(zip(map(id, spread), picked, strict=True))) for picked in product(*spread)]


def n_alternatives(form: Form) -> int:
    """Count the ways to choose among the literal alternatives of a form."""
    return prod(len(piece) for piece in form if not isinstance(piece, Slot))


def with_article(noun: str) -> str:
    """Put the English indefinite article before a bare singular noun."""
    bare = noun.lstrip("`'")
    return f"{'an' if _AN.match(bare) and not _A.match(bare) else 'a'} {noun}"


def capitalised(text: str) -> str:
    """Raise the first letter, unless the first word has its own spelling (iOS, `code`)."""
    first = text.split(" ", 1)[0]
    return text if first[1:].lower() != first[1:] else text[:1].upper() + text[1:]


def _tokens(wording: str) -> Iterator[str | Slot | None]:
    """Yield literal text, slots, and marks as one-character strings behind a None."""
    for token in _TOKEN.finditer(wording):
        if token["stray"]:
            raise WordingError(f"stray {token['stray']!r} at character {token.start() + 1}; write \\{token['stray']}")
        if token["mark"]:
            yield None
            yield token["mark"]
        elif token["slot"] is not None:
            yield _slot(token["slot"])
        else:
            yield token["escaped"] or token["text"]


def _slot(inside: str) -> Slot:
    if not inside:
        return INPUT
    match = _SLOT.fullmatch(inside)
    if not match:
        raise WordingError(
            f"{{{inside}}} is not a slot; write {{table.column}}, {{a table.column}} or {{^table.column}}"
        )
    capital, article, table, second, column = match.groups()
    return Slot(table, column, bool(second), bool(article), bool(capital))


def _segments(tokens: list[str | Slot | None]) -> Iterator[tuple[_Option, ...]]:
    """Group tokens into segments, each a tuple of options; literal text and slots are segments of one option."""
    stack: list[list[list[Slot | str]]] = []
    rest = iter(tokens)
    for token in rest:
        mark = next(rest) if token is None else None
        if mark == "(":
            stack.append([[]])
        elif mark in {"|", ")"} and not stack:
            what = "a bar outside parentheses" if mark == "|" else "a closing parenthesis too many"
            raise WordingError(f"{what}; write \\{mark} for a plain one")
        elif mark == "|":
            stack[-1].append([])
        elif mark == ")":
            yield from _closed(stack)
        elif token is not None and stack:
            stack[-1][-1].append(token)
        elif token is not None:
            yield ((token,),)
    if stack:
        raise WordingError("an opening parenthesis is never closed; write \\( for a plain one")


def _closed(stack: list[list[list[Slot | str]]]) -> Iterator[tuple[_Option, ...]]:
    """End the innermost parenthesis: an alternation if it had bars, else plain text of what is around it."""
    options = stack.pop()
    if len(options) > 1 and stack:
        raise WordingError("an alternation inside another; write the alternatives out")
    if len(options) > 1:
        yield _checked([tuple(option) for option in options])
        return
    plain: list[Slot | str] = ["(", *options[0], ")"]
    if stack:
        stack[-1][-1].extend(plain)
    else:
        yield from (((atom,),) for atom in plain)


def _checked(options: list[_Option]) -> tuple[_Option, ...]:
    if len(set(options)) < len(options):
        twice = next("".join(map(str, o)) for o in options if options.count(o) > 1)
        raise WordingError(f"the alternative {twice!r} stands twice in one alternation; drop one")
    return tuple(options)


def _form(segments: list[tuple[_Option, ...]], picked: dict[int, _Option]) -> Form:
    """Flatten segments into slots and choices, with neighbouring plain literals joined."""
    pieces: list[Slot | Choice] = []

    def add(choice: Choice) -> None:
        last = pieces[-1] if pieces else None
        if isinstance(last, tuple) and not isinstance(last, Slot) and len(last) == 1 and len(choice) == 1:
            pieces[-1] = (last[0] + choice[0],)
        else:
            pieces.append(choice)

    for segment in segments:
        option = picked.get(id(segment), segment[0])
        if len(segment) > 1 and id(segment) not in picked:
            add(tuple("".join(map(str, o)) for o in segment))
            continue
        for atom in option:
            if isinstance(atom, Slot):
                pieces.append(atom)
            else:
                add((atom,))
    return tuple(pieces)

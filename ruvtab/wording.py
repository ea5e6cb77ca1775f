"""The little language of wordings: `(Add|Put in) {a feature.noun} in {part.file}`.

A wording is literal text, slots and alternations. It is flattened into *forms*: a form is a sequence of slots and
choices, where a choice is a tuple of literal texts. Alternations of plain text stay choices and are never multiplied
out; alternations that hold slots become separate forms, because they need other slots.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from math import prod
from typing import NamedTuple

MAX_FORMS = 64

_TOKEN = re.compile(
    r"(?P<text>[^\\{}(|)]+)|\{(?P<slot>[^{}]*)\}|\((?P<plain>[^\\{}(|)]*(?:\|[^\\{}(|)]*)+)\)"
    r"|\\(?P<escaped>.)|(?P<mark>[(|)])|(?P<stray>.)",
    re.S,
)
_SLOT = re.compile(r"(\^)?(a )?([a-z][a-z0-9_]*)(#2)?\.([a-z][a-z0-9_]*)")
# how English sounds: "an" before a vowel sound, also of a spelt-out acronym or a number; words in _A sound otherwise
_AN = re.compile(
    r"[aeioAEIO]|[uU](?!ni(?!n|m)|s[aeu]|r[ael]|t[ei]|[A-Z])|8|11\b|18\b|hour|honest|heir|[FHLMNRSX](?=[A-Z0-9]+\b|-)"
)
_A = re.compile(
    r"(?i:one\b|once\b|eu|ewe)"
    r"|(SCIM|SAML|SOAP|REST|RAM|ROM|NAT|MAC|SIM|FIFO|RAID|SIEM|SOC|FIDO|MIDI|NUMA|NAS|RISC|ROS|SASS|SAST|HAR|HEIC|SARIF"
    r"|RUM|LAN|MIME|FAT|LIDAR|NIC|SAN|SOX|HIPAA|NASA)\b"
)

_NESTED = "an alternation inside another; write the alternatives out"


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
_Segment = tuple[tuple[Slot | str, ...], ...]

INPUT = Slot("", "")


@cache
def parse(wording: str) -> tuple[Form, ...]:
    """Read a wording into its forms, at least one.

    Raises WordingError for an unknown mark, an unbalanced or nested alternation, or two equal alternatives.
    """
    segments = list(_segments(wording))
    spread = [i for i, s in enumerate(segments) if len(s) > 1 and any(isinstance(a, Slot) for o in s for a in o)]
    if (n_forms := prod(len(segments[i]) for i in spread)) > MAX_FORMS:
        raise WordingError(f"alternations with slots make {n_forms:,} forms, at most {MAX_FORMS}; split the wording")
    if not spread:
        return (_form(segments),)
    picked = (dict(zip(spread, options, strict=True)) for options in product(*(segments[i] for i in spread)))
    return tuple(_form([(own[i],) if i in own else s for i, s in enumerate(segments)]) for own in picked)


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


@cache
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


def _segments(wording: str) -> Iterator[_Segment]:
    """Cut a wording into segments, each a tuple of options; literal text and slots are segments of one option."""
    stack: list[list[list[Slot | str]]] = []
    for token in _TOKEN.finditer(wording):
        kind, text = token.lastgroup, token[token.lastgroup or 0]
        if kind in {"text", "escaped", "slot"}:
            atom = _slot(text) if kind == "slot" else text
            if stack:
                stack[-1][-1].append(atom)
            else:
                yield ((atom,),)
        elif kind == "plain" and not stack:
            yield _checked(tuple((option,) for option in text.split("|")))
        elif kind == "plain":
            raise WordingError(_NESTED)
        elif kind == "stray":
            raise WordingError(f"stray {text!r} at character {token.start() + 1}; write \\{text}")
        else:
            yield from _marked(text, stack)
    if stack:
        raise WordingError("an opening parenthesis is never closed; write \\( for a plain one")


def _marked(mark: str, stack: list[list[list[Slot | str]]]) -> Iterator[_Segment]:
    """Follow a parenthesis or bar; yield what a closing one ends."""
    if mark == "(":
        stack.append([[]])
    elif not stack:
        what = "a bar outside parentheses" if mark == "|" else "a closing parenthesis too many"
        raise WordingError(f"{what}; write \\{mark} for a plain one")
    elif mark == "|":
        stack[-1].append([])
    else:
        yield from _closed(stack)


def _closed(stack: list[list[list[Slot | str]]]) -> Iterator[_Segment]:
    """End the innermost parenthesis: an alternation if it had bars, else plain text of what is around it."""
    options = stack.pop()
    if len(options) > 1 and stack:
        raise WordingError(_NESTED)
    if len(options) > 1:
        yield _checked(tuple(tuple(option) for option in options))
        return
    plain: list[Slot | str] = ["(", *options[0], ")"]
    if stack:
        stack[-1][-1].extend(plain)
    else:
        yield from (((atom,),) for atom in plain)


def _checked(options: _Segment) -> _Segment:
    if len(set(options)) < len(options):
        twice = next("".join(map(str, o)) for o in options if options.count(o) > 1)
        raise WordingError(f"the alternative {twice!r} stands twice in one alternation; drop one")
    return options


def _form(segments: list[_Segment]) -> Form:
    """Flatten segments into slots and choices, with neighbouring plain literals joined."""
    pieces: list[Slot | Choice] = []
    literal = ""
    for segment in segments:
        if len(segment) == 1 and all(isinstance(atom, str) for atom in segment[0]):
            literal += "".join(map(str, segment[0]))
            continue
        for atom in segment[0] if len(segment) == 1 else (tuple("".join(map(str, option)) for option in segment),):
            if isinstance(atom, str):
                literal += atom
                continue
            if literal:
                pieces.append((literal,))
                literal = ""
            pieces.append(atom)
    if literal:
        pieces.append((literal,))
    return tuple(pieces)

from __future__ import annotations

import re
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ruvtab.wording import INPUT, MAX_FORMS, Form, Slot, WordingError, capitalised, n_alternatives, parse, with_article

NOUN = Slot("thing", "noun")
NAME = Slot("person", "name")


@pytest.mark.parametrize(
    ("wording", "forms"),
    [
        pytest.param("", ((),), id="nothing"),
        pytest.param("mend it", ((("mend it",),),), id="text"),
        pytest.param("mend {thing.noun}.", ((("mend ",), NOUN, (".",)),), id="slot"),
        pytest.param("{thing.noun}", ((NOUN,),), id="slot-alone"),
        pytest.param("(mend|fix) it", ((("mend", "fix"), (" it",)),), id="plain-alternation-is-one-form"),
        pytest.param("mend it( now|)", ((("mend it",), (" now", "")),), id="an-alternative-may-be-empty"),
        pytest.param("(a|b)(c|d)", ((("a", "b"), ("c", "d")),), id="neighbouring-choices-stay-apart"),
        pytest.param(
            "(ask {person.name}|just) mend it",
            ((("ask ",), NAME, (" mend it",)), (("just mend it",),)),
            id="alternation-with-slot-makes-forms",
        ),
        pytest.param(
            "({thing.noun}|it) for ({person.name}|me)",
            ((NOUN, (" for ",), NAME), (NOUN, (" for me",)), (("it for ",), NAME), (("it for me",),)),
            id="forms-multiply-in-order",
        ),
        pytest.param("({thing.noun}|(x))", ((NOUN,), (("(x)",),)), id="plain-parentheses-inside-an-alternation"),
        pytest.param("mend (all of) it", ((("mend (all of) it",),),), id="no-bar-is-plain-text"),
        pytest.param("(see (x) and {thing.noun})", ((("(see (x) and ",), NOUN, (")",)),), id="plain-may-nest"),
        pytest.param(r"\(a\|b\) \{x\} \\ \n", ((("(a|b) {x} \\ n",),),), id="escapes"),
        pytest.param("({thing.noun}|a\\|b)", ((NOUN,), (("a|b",),)), id="escape-inside-an-alternation"),
        pytest.param("Hi,\n{}\nbye", ((("Hi,\n",), INPUT, ("\nbye",)),), id="input-and-line-breaks"),
    ],
)
def test_a_wording_is_read_into_these_forms(wording: str, forms: tuple[Form, ...]) -> None:
    assert parse(wording) == forms


@pytest.mark.parametrize(
    ("wording", "slot"),
    [
        ("{thing.noun}", Slot("thing", "noun")),
        ("{thing#2.noun}", Slot("thing", "noun", second=True)),
        ("{a thing.noun}", Slot("thing", "noun", article=True)),
        ("{^thing.noun}", Slot("thing", "noun", capital=True)),
        ("{^a thing_1#2.noun_2}", Slot("thing_1", "noun_2", second=True, article=True, capital=True)),
        ("{}", INPUT),
    ],
)
def test_a_slot_is_written_as_it_was_read(wording: str, slot: Slot) -> None:
    assert parse(wording) == ((slot,),)
    assert str(slot) == wording


@pytest.mark.parametrize(
    ("wording", "says", "mended"),
    [
        pytest.param("fix {thing}", "{thing} is not a slot; write {table.column}", "fix {thing.noun}", id="no-column"),
        pytest.param("fix {Thing.noun}", "{Thing.noun} is not a slot", "fix {thing.noun}", id="capital-in-a-name"),
        pytest.param("fix { thing.noun}", "{ thing.noun} is not a slot", "fix {thing.noun}", id="space-in-a-slot"),
        pytest.param("fix {an x.y}", "write {table.column}, {a table.column}", "fix {a x.y}", id="an-for-a"),
        pytest.param("fix {a ^x.y}", "or {^table.column}", "fix {^a x.y}", id="marks-in-the-wrong-order"),
        pytest.param("fix {x#3.y}", "{x#3.y} is not a slot", "fix {x#2.y}", id="third-row"),
        pytest.param("fix {it", "stray '{' at character 5; write \\{", "fix \\{it", id="open-brace"),
        pytest.param("fix it}", "stray '}' at character 7; write \\}", "fix it\\}", id="closing-brace"),
        pytest.param("fix it\\", "stray '\\\\' at character 7; write \\\\", "fix it\\\\", id="backslash-at-the-end"),
        pytest.param("(fix|mend", "opening parenthesis is never closed; write \\(", "\\(fix", id="never-closed"),
        pytest.param("fix :( it", "opening parenthesis is never closed; write \\(", "fix :\\( it", id="plain-open"),
        pytest.param("fix) it", "closing parenthesis too many; write \\)", "fix\\) it", id="closed-too-often"),
        pytest.param("fix|mend", "bar outside parentheses; write \\|", "fix\\|mend", id="bar-outside"),
        pytest.param("(a|(b|c))", "inside another; write the alternatives out", "(a|b|c)", id="nested-last"),
        pytest.param("((a|b)|c)", "inside another; write the alternatives out", "(a|b|c)", id="nested-first"),
        pytest.param("({x.y}|(b {x.z}|c))", "inside another", "({x.y}|b {x.z}|c)", id="nested-with-slots"),
        pytest.param("(fix|mend|fix) it", "'fix' stands twice in one alternation; drop one", "(fix|mend)", id="twice"),
        pytest.param("({x.y}|{x.y})", "'{x.y}' stands twice", "({x.y}|{x.z})", id="slot-twice"),
        pytest.param("({x.y}|it)" * 7, "make 128 forms, at most 64; split the wording", "({x.y}|it)", id="many-forms"),
    ],
)
def test_a_wrong_wording_says_how_to_mend_it(wording: str, says: str, mended: str) -> None:
    with pytest.raises(WordingError, match=re.escape(says)):
        parse(wording)
    assert parse(mended)


def test_as_many_forms_as_allowed_are_read() -> None:
    forms = parse(" ".join(f"({{x.y}}|it {i})" for i in range(6)))
    assert len(set(forms)) == len(forms) == MAX_FORMS


@pytest.mark.parametrize(
    "noun",
    [
        *("an apple pie", "an oven", "an index", "an upstream", "an unused import", "an uninstaller", "an urban map"),
        *("an hour", "an honest answer", "an heir", "an API", "an RFC", "an S3 bucket", "an SQL query", "an HTTP call"),
        *("an X-ray", "an `index`", "an Ubuntu image", "an Undo button", "an 8-bit integer", "an 11-digit number"),
        *("a pan", "a user", "a usage graph", "a unit test", "a universal link", "a URL", "a UUID", "a UI", "a User"),
        *("a one-off", "a once-only token", "a euro", "a house", "a hotel", "a REST call", "a RAM disk", "a SaaS app"),
        *("a utility", "a uranium rod", "a NoSQL store", "a `pan`", "a LAN", "a MIME type", "a usual case"),
        *("a European rule", "a 6-digit code"),
    ],
)
def test_the_article_follows_the_sound(noun: str) -> None:
    assert with_article(noun.split(" ", 1)[1]) == noun


@pytest.mark.parametrize(
    ("text", "begun"),
    [
        ("pan", "Pan"),
        ("apple pie in iOS", "Apple pie in iOS"),
        ("e-mail", "E-mail"),
        ("écran", "Écran"),
        ("iOS app", "iOS app"),
        ("gRPC", "gRPC"),
        ("`pan`", "`pan`"),
        ("API", "API"),
        ("40 pans", "40 pans"),
        ("", ""),
    ],
)
def test_a_capital_spares_words_with_their_own_spelling(text: str, begun: str) -> None:
    assert capitalised(text) == begun


def escaped(text: str) -> str:
    return re.sub(r"[\\{}()|]", r"\\\g<0>", text)


@settings(deadline=None)
@given(st.text(min_size=1))
def test_escaped_text_is_read_back_as_it_was(text: str) -> None:
    assert parse(escaped(text)) == (((text,),),)


@settings(deadline=None)
@given(st.lists(st.text(), min_size=2, max_size=5, unique=True))
def test_escaped_alternatives_are_read_back_as_they_were(options: list[str]) -> None:
    assert parse("(" + "|".join(map(escaped, options)) + ")") == ((tuple(options),),)


_PLAIN = st.text("ab ()|{}\\", max_size=5).map(escaped)
_SLOT = st.sampled_from(["{thing.noun}", "{a thing.noun}", "{person.name}", "{^person#2.role}"])
_OPTIONS = st.lists(st.one_of(_PLAIN, _SLOT), min_size=2, max_size=3, unique=True)
_SEGMENT = st.one_of(_PLAIN.map(lambda text: [text]), _SLOT.map(lambda slot: [slot]), _OPTIONS)


def written(segments: list[list[str]]) -> str:
    return "".join(s[0] if len(s) == 1 else f"({'|'.join(s)})" for s in segments)


@settings(deadline=None)
@given(st.lists(_SEGMENT, max_size=3))
def test_there_are_as_many_readings_as_the_product_of_the_alternatives(segments: list[list[str]]) -> None:
    forms = parse(written(segments))
    assert sum(map(n_alternatives, forms)) == prod(map(len, segments))


@settings(deadline=None)
@given(st.lists(_SEGMENT, max_size=3))
def test_every_form_holds_the_slots_of_one_choice_of_alternatives(segments: list[list[str]]) -> None:
    spread = [s for s in segments if len(s) > 1 and any(o.startswith("{") for o in s)]
    fixed = sum(len(s) == 1 and s[0].startswith("{") for s in segments)
    n_slots = sorted(sum(isinstance(piece, Slot) for piece in form) for form in parse(written(segments)))
    expected = [fixed]
    for options in spread:
        expected = [n + option.startswith("{") for n in expected for option in options]
    assert n_slots == sorted(expected)

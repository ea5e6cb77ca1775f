from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from ruvtab.check import load
from ruvtab.errors import Fault, PackError

Files = dict[str, str]
MakePack = Callable[[Files], Path]


class Spoil(NamedTuple):
    """One fault made in a file: `old` becomes `new` (an empty `old` adds it at the end), and what is said of it."""

    file: str
    old: str
    new: str
    says: str

    def made_in(self, files: Files) -> Files:
        text = files.get(self.file, "")
        assert self.old in text
        return files | {self.file: text.replace(self.old, self.new, 1) if self.old else text + self.new}

    def line_in(self, files: Files) -> int:
        """Find the line where the new text begins, in the text that it is put into."""
        text = files.get(self.file, "")
        at = text.index(self.old) if self.old else len(text)
        lead = len(self.new) - len(self.new.lstrip("\n"))
        return text.count("\n", 0, at) + lead + 1


PACK, LABELS, FRAMES = "pack.toml", "taxonomy.toml", "frames.toml"
COOK, TIDY, NEW = "families/cook.toml", "families/tidy.toml", "families/new.toml"
THING, PERSON, KINDS = "vocabulary/thing.csv", "vocabulary/person.csv", "vocabulary/columns.toml"
EASY = '"(please|could you) heat {a thing.noun} for {person.name}"'
FAIR, HARD = '"{^person.name} (says|thinks) we must heat', '"heat {thing.all} for {person.name} (at once|by night)"'
FRAME, CONTEXT = '"{}\\nthanks, {day.name}"', '"(Ask|Call) {person.role} {day.name}."'
MANY = f'"{"({thing.noun}|it)" * 7} {{person.name}}"'
NO_NAME = '"(x|y) {thing.noun}"'

SPOILT: dict[str, tuple[str, str, str, str]] = {
    "pack-syntax": (PACK, 'name = "small"', "name = small", "not TOML: Invalid value (at line 1"),
    "pack-name": (PACK, '"small"', '"Small Pack"', "name: String should match pattern"),
    "pack-language": (PACK, '"en"', '"english!"', "language: String should match pattern"),
    "pack-unknown-key": (PACK, "[q", 'autor = "x"\n[q', "autor: Extra inputs are not permitted, found 'x'"),
    "pack-quality": (PACK, "paraphrase = [0.85, 0.9]", "paraphrase = [0.9, 0.85]", "needs [low, high] with 0 <= low"),
    "taxonomy-syntax": (LABELS, "[categories.Cook]", "[categories.Cook", "not TOML: Expected ']'"),
    "routing-hole": (LABELS, ', Hard = "large" }', " }", "routing of Cook has no model for level Hard; add one"),
    "routing-to-no-model": (LABELS, 'Hard = "large"', 'Hard = "huge"', "Cook sends Hard to 'huge'; levels are"),
    "routing-of-no-level": (LABELS, '"large" }', '"large", Odd = "small" }', "routing of Cook sends Odd to 'small'"),
    "shares-not-1": (LABELS, "Easy = 0.4", "Easy = 0.5", "shares of levels sum to 1.1; make them sum to 1"),
    "share-of-nothing": (LABELS, "Easy = 0.4", "Easy = 0", "Easy: Input should be greater than 0, found 0"),
    "share-not-a-number": (LABELS, "Easy = 0.4", "Easy = nan", "Easy: Input should be"),
    "domain-named-twice": (LABELS, '"Garden"]', '"Garden", "Garden"]', "'Garden' stands twice in domains"),
    "model-named-twice": (LABELS, '"large"]', '"large", "small"]', "'small' stands twice in models"),
    "domain-of-two-words": (LABELS, '"Garden"]', '"Gar den"]', "domains.1: String should match pattern"),
    "category-quality": (LABELS, "[0.8, 0.9]", "[0.8, 1.9]", "Cook.quality: needs [low, high]"),
    "family-syntax": (COOK, '"fire"', '"fire', "not TOML: Illegal character"),
    "unknown-category": (COOK, '"Cook"', '"Coock"', "category is 'Coock'; begin the file with category = one of"),
    "category-is-a-list": (COOK, '"Cook"', '["Cook"]', "begin the file with category = one of Cook, Tidy"),
    "family-not-a-list": (NEW, "", 'family = "x"\ncategory = "Cook"', "family is not a list of tables; begin each"),
    "unknown-domain": (COOK, '"Garden"]', '"Gardn"]', "unknown domain 'Gardn'; domains are Kitchen, Garden"),
    "family-domain-twice": (COOK, '"Garden"]', '"Garden", "Garden"]', "'cook.heat' names a domain twice"),
    "unknown-level": (COOK, "[family.Fair]", "[family.Far]", "unknown level 'Far'; levels are Easy, Fair, Hard"),
    "unknown-key": (COOK, 'tags = ["home"]', 'levels = ["home"]', "'levels'; levels are Easy, Fair, Hard"),
    "family-id": (COOK, 'id = "cook.cool"', 'id = "Cook Cool"', "id: String should match pattern"),
    "family-twice": (COOK, 'id = "cook.cool"', 'id = "cook.heat"', "'cook.heat' stands already in cook.toml; rename"),
    "family-twice-over": (TIDY, '"tidy.wash"', '"cook.heat"', "'cook.heat' stands already in cook.toml; rename one"),
    "quality-outside": (COOK, "quality = 0.84", "quality = 0.95", "0.95 of cook.heat Fair is outside Cook's range"),
    "quality-over-1": (COOK, "quality = 0.84", "quality = 8", "Fair.quality: Input should be less than or equal to 1"),
    "input-not-a-list": (COOK, "\ninput = [", "\ninput = 1\nold = [", "Easy.input: Input should be a valid list"),
    "input-empty": (COOK, "\ninput = [", "\ninput = []\nold = [", "Easy.input: List should have at least 1 item"),
    "no-context-at-all": (COOK, "\nquality = 0.84", "\ncontext = []\nquality = 0.84", "Fair.context: List should have"),
    "four-scenario-tables": (COOK, '"person"]', '"person", "a", "b"]', "scenario: List should have at most 3 items"),
    "unknown-scenario": (COOK, '"person"]', '"persons"]', "unknown scenario table 'persons'; tables are day, person"),
    "scenario-in-frames": (COOK, '"person"]', '"person", "day"]', "'day' is used by frames too; take it out of one of"),
    "stray-brace": (COOK, EASY, '"heat {a thing.noun"', "stray '{' at character 6; write \\{"),
    "nested": (COOK, EASY, '"(a|(b|c)) {thing.noun}"', "an alternation inside another; write the alternatives out"),
    "never-closed": (COOK, EASY, '"(a|b {thing.noun}"', "never closed; write \\( for a plain one"),
    "alternative-twice": (COOK, EASY, '"(a|a) {thing.noun}"', "'a' stands twice in one alternation; drop one"),
    "not-a-slot": (COOK, EASY, '"heat {thing}"', "{thing} is not a slot; write {table.column}"),
    "too-many-forms": (COOK, EASY, MANY, "make 128 forms, at most 64; split the wording"),
    "unknown-table": (COOK, "{a thing.noun}", "{thong.noun}", "unknown table in slot {thong.noun}; tables are day,"),
    "unknown-column": (COOK, "{a thing.noun}", "{thing.nouns}", "slot {thing.nouns}; thing has noun, some, all"),
    "unknown-in-a-frame": (FRAMES, "{day.name}", "{days.name}", "unknown table in slot {days.name}; tables are day,"),
    "input-in-an-input": (COOK, EASY[:-1], f"{EASY[:-1]} {{}}", "{} stands for the input and belongs in frames.toml"),
    "article-of-a-phrase": (COOK, HARD, HARD.replace("{t", "{a t"), "puts an article before a phrase; only a bare"),
    "touching-slots": (COOK, "} for {", "}{", "{a thing.noun} and {person.name} touch; put a word or a comma"),
    "two-spaces": (COOK, f"{EASY[:-1]}", f"{EASY[:-1]},  do", "untidy spacing or punctuation in ',  do'"),
    "space-before-a-stop": (COOK, EASY[:-1], f"{EASY[:-1]} (now|) .", "untidy spacing or punctuation in '"),
    "space-in-front": (COOK, EASY, EASY.replace("(please|could you)", "(please|)"), "begins or ends with a space"),
    "space-behind": (COOK, EASY, f'{EASY[:-1]} (now|)"', "begins or ends with a space; move the space inside"),
    "same-reading": (COOK, EASY, EASY.replace("(p", "(x|xx)(xx |x )(p"), "give the same text; drop one"),
    "scenario-not-told": (COOK, EASY, NO_NAME, "not use scenario table person; name one of its columns"),
    "pair-not-told": (COOK, FAIR, FAIR.replace("{^person", "{^person#2"), "not use scenario table person; name one of"),
    "equal-wordings": (COOK, HARD, EASY.replace("p", "P", 1), "the same wording stands already in cook.heat: "),
    "frame-without-input": (FRAMES, FRAME, '"thanks, {day.name}"', "a frame needs exactly one {}, where the input"),
    "frame-with-two-inputs": (FRAMES, FRAME, '"{} and {}"', "a frame needs exactly one {}, where the input goes"),
    "frame-over-two-lines": (FRAMES, FRAME, '\n"{}\\nthanks, {}"', "a frame needs exactly one {}, where"),
    "frame-syntax": (FRAMES, FRAME, '\n"{}\\n(thanks"', "never closed; write \\( for a plain one"),
    "frame-share": (FRAMES, "share = 0.2", "share = 20", "share: Input should be less than or equal to 1, found 20"),
    "frame-table-in-pairs": (COOK, EASY[:-1], f"{EASY[:-1]} {{day#2.name}}", "it has no second row; drop the #2"),
    "context": (COOK, CONTEXT, '"Ask {person.rule}."', "unknown column in slot {person.rule}; person has name, role"),
    "context-syntax": (COOK, CONTEXT, '"Ask {person.role"', "stray '{' at character 5; write \\{"),
    "row-too-long": (THING, "Garden,bed", "Garden,bed,", "5 values, expected 4; quote a value that has a comma"),
    "empty-value": (PERSON, ",Ben,the guest", ",Ben,", "role is empty or has spaces around it: ''"),
    "untrimmed-value": (PERSON, ",Ben", ", Ben", "name is empty or has spaces around it: ' Ben'"),
    "same-row": (PERSON, ",Ben,the guest", ",Ada,the owner", "the same row as line 2; drop one"),
    "row-of-no-domain": (THING, "Garden,bed", "Gardn,bed", "unknown domain 'Gardn'; domains are Kitchen, Garden"),
    "header": (PERSON, "domain,", "", "the header must be domain and then column names, found ['name', 'role']"),
    "column-twice": (PERSON, "domain,name,role", "domain,name,name", "the header must be domain and then column names"),
    "quotes": (PERSON, ",Ben", ',"Ben" B', "not CSV: ',' expected after '\"'"),
    "kinds-syntax": (KINDS, "[person]", "[person", "not TOML: Expected ']'"),
    "kinds-of-no-table": (KINDS, "[person]", "[persons]", "table persons has no file persons.csv"),
    "kinds-not-a-table": (KINDS, "[thing]", 'day = "name"\n[thing]', "day"),
    "kind-of-no-column": (KINDS, 'role = "phrase"', 'rule = "phrase"', "person.csv has no column rule"),
    "unknown-kind": (KINDS, 'role = "phrase"', 'role = "phrases"', "unknown kind 'phrases'; kinds are adverb, clause"),
    "kind-is-a-list": (KINDS, 'role = "phrase"', 'role = ["phrase"]', "unknown kind ['phrase']; kinds are adverb"),
    "noun-with-article": (THING, "Garden,bed", "Garden,a bed", "noun 'a bed' is not a noun as columns.toml means it"),
}


class Far(NamedTuple):
    """A fault that stands on another line than what was done: at the last mark, each behind the one before."""

    edits: dict[str, tuple[str, str]]
    file: str
    marks: tuple[str, ...]
    says: str


ONLY_KITCHEN = {"vocabulary/tool.csv": ("", "domain,name\nKitchen,spoon\n")}
TWO_LINES = '"heat {thing.noun} and call {person.name}",\n"call {person.name}"'
TIGHT = {COOK: ('id = "cook.heat"', 'id="cook.heat"'), LABELS: ("[0.8, 0.9]", "[0.8, 0.84]")}

FAR: dict[str, tuple[dict[str, tuple[str, str]], str, tuple[str, ...], str]] = {
    "no-version": ({PACK: ('version = "1"\n', "")}, PACK, (), "version: Field required"),
    "no-agent": ({LABELS: ('agent = "cook"\n', "")}, LABELS, ("[categories.Cook]",), "Cook.agent: Field required"),
    "no-subject": ({COOK: ('subject = "fire"\n', "")}, COOK, ('"cook.heat"',), "subject: Field required"),
    "no-quality": ({COOK: ("quality = 0.85\n", "")}, COOK, ("[family.Easy]",), "Easy.quality: Field required"),
    "no-category": ({COOK: ('category = "Cook"', "")}, COOK, (), "category is None; begin the file with category ="),
    "no-frames-list": ({FRAMES: ("frame = [", "frames = [")}, FRAMES, ("frames",), "frames: Extra inputs are not"),
    "no-scenario-in-domain": (ONLY_KITCHEN | {COOK: ('"person"]', '"tool"]')}, COOK, ("scenario",), "tool has no row"),
    "no-detail-in-domain": (ONLY_KITCHEN | {COOK: ("heat it,", "use {tool.name},")}, COOK, ("use {",), "add rows or"),
    "no-rows": ({"vocabulary/tool.csv": ("", "domain,name\n")}, "vocabulary/tool.csv", (), "a header and no rows"),
    "no-header": ({"vocabulary/tool.csv": ("", "\n")}, "vocabulary/tool.csv", ("",), "the header must be domain and"),
    "twins": ({PERSON: (",Ben,", ",Ada,")}, COOK, (EASY,), "lines 2 and 3 of person.csv read the same by name; use"),
    "same-text-in-two-domains": ({THING: ("Garden,rake", "Garden,pan")}, COOK, (EASY,), "read the same in Garden and"),
    "pair-told-once": ({COOK: (EASY, f'{EASY[:-1]}, {{person#2.name}}"')}, COOK, (HARD,), "not use person#2"),
    "wording-inside-another": ({COOK: (EASY, TWO_LINES)}, COOK, ('"call {',), "does not use scenario table thing"),
    "tight-keys": (TIGHT, COOK, ("quality = 0.85",), "quality 0.85 of cook.heat Easy is outside Cook's range"),
    "tight-kinds": ({KINDS: ('role = "phrase"', 'role="x"')}, KINDS, ("role",), "unknown kind 'x'; kinds are"),
    "kind-of-a-like-name": ({KINDS: ("noun =", 'pronoun = "noun"\nnoun = "nuon" #')}, KINDS, ('"nuon"',), "kind"),
}


def line_with(text: str, marks: tuple[str, ...]) -> int:
    """Find the line of the last mark; no mark is the whole file."""
    lines, at = text.splitlines(), 0
    for mark in marks:
        at = next(i for i, line in enumerate(lines[at:], at + 1) if mark in line)
    return at


def faults_in(root: Path) -> list[Fault]:
    try:
        load(root)
    except PackError as error:
        return error.faults
    return []


@pytest.mark.parametrize("spoil", [Spoil(*spoil) for spoil in SPOILT.values()], ids=list(SPOILT))
def test_a_fault_is_told_where_it_stands(pack_files: Files, make_pack: MakePack, spoil: Spoil) -> None:
    root = make_pack(spoil.made_in(pack_files))
    faults = faults_in(root)
    told = {(f.file, f.line) for f in faults if spoil.says in f.message}
    assert told == {(root / spoil.file, spoil.line_in(pack_files))}, faults


@pytest.mark.parametrize("far", [Far(*far) for far in FAR.values()], ids=list(FAR))
def test_a_fault_is_told_where_it_is_to_be_mended(pack_files: Files, make_pack: MakePack, far: Far) -> None:
    files = pack_files
    for file, (old, new) in far.edits.items():
        files = Spoil(file, old, new, far.says).made_in(files)
    root = make_pack(files)
    faults = faults_in(root)
    told = {(f.file, f.line) for f in faults if far.says in f.message}
    assert (root / far.file, line_with(files[far.file], far.marks)) in told, faults


@pytest.mark.parametrize(
    ("kind", "sound", "wrong"),
    [
        ("noun", "pan", "the pan"),
        ("plural", "pans", "our pans"),
        ("name", "Ada", "An Ada"),
        ("question", "whether it is hot", "is it hot"),
        ("question", "how hot it is", "how hot is it?"),
        ("verb", "heat it", "to heat it"),
        ("verb", "cool it", "Cool it."),
        ("gerund", "heating it", "heat it"),
        ("clause", "the pan is hot", "the pan is hot."),
    ],
)
def test_a_value_is_of_its_columns_kind(
    pack_files: Files, make_pack: MakePack, kind: str, sound: str, wrong: str
) -> None:
    days = "vocabulary/day.csv"
    kinds = pack_files[KINDS] + f'[day]\nname = "{kind}"\n'
    root = make_pack(pack_files | {days: f"domain,name\n,{sound}\n,{wrong}\n", KINDS: kinds})
    says = f"name {wrong!r} is not a {kind} as columns.toml means it"
    assert faults_in(root) == [Fault(root / days, 3, says)]


@pytest.mark.parametrize("file", [PACK, LABELS])
@pytest.mark.parametrize("text", [None, "= 3\n"], ids=["missing", "not-toml"])
def test_a_file_that_cannot_be_read_is_not_said_to_lack_keys(
    pack_files: Files, make_pack: MakePack, file: str, text: str | None
) -> None:
    root = make_pack({name: old for name, old in pack_files.items() if name != file})
    if text is not None:
        (root / file).write_text(text)
    (fault,) = faults_in(root)
    assert (fault.file, fault.line) == (root / file, int(text is not None))
    assert fault.message.startswith("is missing; a pack needs it" if text is None else "not TOML: ")


@pytest.mark.parametrize("file", [COOK, PERSON])
def test_a_file_in_another_encoding_is_told(pack_files: Files, make_pack: MakePack, file: str) -> None:
    root = make_pack(pack_files)
    (root / file).write_bytes(b"\xe9" + (root / file).read_bytes())
    assert any(f.file == root / file and "'utf-8' codec" in f.message for f in faults_in(root))


def test_a_pack_without_families_is_refused(pack_files: Files, make_pack: MakePack) -> None:
    root = make_pack({name: text for name, text in pack_files.items() if not name.startswith("families/")})
    assert faults_in(root) == [Fault(root / "families", 0, "holds no family; add a TOML file with [[family]] tables")]


def test_a_category_without_families_is_refused(pack_files: Files, make_pack: MakePack) -> None:
    root = make_pack({name: text for name, text in pack_files.items() if name != TIDY})
    assert [(f.file, f.line) for f in faults_in(root) if "Tidy" in f.message] == [
        (root / LABELS, line_with(pack_files[LABELS], ("[categories.Tidy]",)))
    ]


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (fault,) = faults_in(tmp_path / "none")
    assert str(fault) == f"{tmp_path / 'none'}: is not a folder; --pack wants the folder that holds pack.toml"


def test_all_faults_are_told_at_once_in_file_and_line_order(pack_files: Files, make_pack: MakePack) -> None:
    names = ("unknown-table", "family-twice-over", "frame-without-input", "empty-value", "unknown-kind")
    spoils = [Spoil(*SPOILT[name]) for name in names]
    files = pack_files
    for spoil in spoils:
        files = spoil.made_in(files)
    root = make_pack(files)
    with pytest.raises(PackError) as refused:
        load(root)
    faults = refused.value.faults
    assert {(f.file, f.line) for f in faults} == {(root / s.file, s.line_in(pack_files)) for s in spoils}
    assert faults == sorted(faults)
    assert str(refused.value).splitlines() == ["5 faults in the pack:", *map(str, faults)]


def _only_kitchen(files: Files) -> Files:
    """Keep one family of fixed text, which can be in one domain only."""
    fixed = files[COOK].split("[[family]]")[1].replace('"Kitchen", "Garden"', '"Kitchen"')
    fixed = re.sub("scenario = .*", "", re.sub(r"\{[^}]*\}", "it", fixed.replace("{day.name}", "now")))
    return files | {COOK: f'category = "Cook"\n[[family]]{fixed}'}


SOUND: dict[str, Callable[[Files], Files]] = {
    "as-it-is": lambda files: files,
    "no-frames": lambda files: {name: text for name, text in files.items() if name != FRAMES},
    "no-kinds": lambda files: {name: text for name, text in files.items() if name != KINDS},
    "fixed-text": _only_kitchen,
    "pairs": lambda files: files | {COOK: re.sub(r"{\^?person.name}", r"\g<0> or {person#2.name}", files[COOK])},
    "blank-lines-and-commas": lambda files: files | {PERSON: files[PERSON] + '\n\n,Ivy,"a nurse, retired"\n'},
    "windows-line-ends": lambda files: {name: text.replace("\n", "\r\n") for name, text in files.items()},
}


@pytest.mark.parametrize("change", SOUND.values(), ids=list(SOUND))
def test_a_sound_pack_has_no_faults(pack_files: Files, make_pack: MakePack, change: Callable[[Files], Files]) -> None:
    assert faults_in(make_pack(change(pack_files))) == []


def test_the_default_pack_has_no_faults() -> None:
    assert load().root.name == "en"

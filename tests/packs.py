"""A small sound pack, to write as it is or to spoil."""

from __future__ import annotations

from pathlib import Path

TAXONOMY = """
levels = { Easy = 0.4, Fair = 0.3, Hard = 0.3 }
domains = ["Kitchen", "Garden"]
models = ["small", "large"]

[categories.Cook]
agent = "cook"
quality = [0.8, 0.9]
routing = { Easy = "small", Fair = "small", Hard = "large" }

[categories.Tidy]
agent = "tidy"
quality = [0.7, 0.9]
routing = { Easy = "small", Fair = "small", Hard = "small" }
"""

FAMILY = """
[[family]]
id = "{id}"
subject = "{subject}"
domains = ["Kitchen", "Garden"]
scenario = ["thing", "person"]
tags = ["home"]
context = ["", "(Ask|Call) {person.role} {day.name}."]

[family.Easy]
quality = 0.85
input = [
  "(please|could you) {verb} {a thing.noun} for {person.name}",
  "{^thing.noun}: {verb} it, (says|asks) {person.name}",
]

[family.Fair]
quality = 0.84
input = [
  "(any chance to|could someone) {verb} {thing.some}? {person.name} (asked|wants it)",
  "{^person.name} (says|thinks) we must {verb} {thing.some}",
]

[family.Hard]
quality = 0.86
input = [
  "{verb} {thing.all} for {person.name} (at once|by night)",
  "(all of it|everything): {thing.all}, {person.name} wants you to {verb}",
]
"""

THINGS = """domain,noun,some,all
Kitchen,pan,two or three pans,the 40 pans of the hotel
Kitchen,oven,two or three ovens,nine ovens in three houses
Kitchen,apple pie,two or three pies,pies for 300 guests
Kitchen,kettle,two or three kettles,every kettle in town
Garden,rake,two or three rakes,rakes of twelve parks
Garden,elm,two or three elms,an avenue of 800 trees
Garden,bed,two or three beds,the beds of the castle
Garden,hedge,two or three hedges,hedges along the railway
"""

PEOPLE = """domain,name,role
,Ada,the owner
,Ben,the guest
,Cleo,a neighbour
,Dan,the landlord
,Eve,a friend
,Finn,the cook
,Gus,the heir
,Hal,a visitor
"""

Files = dict[str, str]


def small_pack() -> Files:
    """The files of a small sound pack, to write as they are or to spoil."""

    def families(category: str, verbs: dict[str, str]) -> str:
        tables = [
            FAMILY.replace("{id}", f"{category.lower()}.{verb}").replace("{subject}", subject).replace("{verb}", verb)
            for verb, subject in verbs.items()
        ]
        return f'category = "{category}"\n' + "\n".join(tables)

    return {
        "pack.toml": 'name = "small"\nversion = "1"\nlanguage = "en"\nlicence = "MIT"\n'
        "[quality]\nparaphrase = [0.85, 0.9]\ndomain = [0.8, 0.85]\n",
        "taxonomy.toml": TAXONOMY,
        "frames.toml": 'share = 0.2\nframe = ["(hello|hi).\\n{}", "{}\\nthanks, {day.name}"]\n',
        "families/cook.toml": families("Cook", {"heat": "fire", "cool": "ice"}),
        "families/tidy.toml": families("Tidy", {"wash": "water", "sort": "order"}),
        "vocabulary/thing.csv": THINGS,
        "vocabulary/person.csv": PEOPLE,
        "vocabulary/day.csv": "domain,name\n,on Monday\n,on Friday\n,today\n",
        "vocabulary/columns.toml": '[thing]\nnoun = "noun"\nsome = "phrase"\nall = "phrase"\n'
        '[person]\nname = "name"\nrole = "phrase"\n',
    }


def write_pack(root: Path, files: Files) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root

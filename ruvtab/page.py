"""Self-contained HTML pages."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from ruvtab.audit import Audit

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: #c62828; --good: #2e7d32; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { padding: .25rem .8rem; text-align: left; }
td, th { border-bottom: 1px solid var(--line); vertical-align: top; } td.n { text-align: right; }
.ok { color: var(--good); } .failed { color: var(--bad); font-weight: 600; } .skipped { opacity: .6; }
.bar { background: #4c78a8; height: .7rem; display: inline-block; } code { font-size: .9em; word-break: break-word; }
"""


def page(title: str, *parts: str) -> str:
    """Wrap parts, which are HTML, into a page that needs nothing from elsewhere."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = "\n".join(parts)
    return f"<!doctype html>\n<html lang=en>{head}<style>{_STYLE}</style>\n<h1>{escape(title)}</h1>\n{body}\n</html>\n"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Write a table of cells that are HTML."""
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in header) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>" for cells in rows]
    return "<table>" + "\n".join(lines) + "</table>"


def audit_page(found: Audit) -> str:
    """Write an audit as a page: gates with the first bad rows, shares, lengths, shortcuts."""
    word = {True: "ok", False: "failed", None: "skipped"}
    gates = [
        [
            escape(gate.name),
            f'<span class="{word[gate.passed]}">{word[gate.passed]}</span>',
            f"{gate.n_bad:,}" if gate.n_bad else "",
            escape(gate.why) + "".join(f"<br><code>{escape(e)}</code>" for e in gate.examples if gate.passed is False),
        ]
        for gate in found.gates
    ]
    failed = sum(gate.passed is False for gate in found.gates)
    told = f"{failed} of {len(gates)} gates failed" if failed else f"all {len(gates)} gates hold"
    parts = [f"<p>{found.n_rows:,} rows; {told}.</p>", table(["gate", "", "rows", "what it looks for"], gates)]
    for label, shares in found.shares.items():
        bars = [
            [escape(value), f'<span class="bar" style="width:{300 * share:.0f}px"></span> {share:.1%}']
            for value, share in list(shares.items())[:30]
        ]
        parts += [f"<h2>{escape(label)}</h2>", table(["value", "share"], bars)]
        if lengths := found.lengths.get(label):
            cells = [[escape(str(v)) for v in found_of.values()] for found_of in lengths[:30]]
            parts.append(table([name.replace("_", " ") for name in lengths[0]], cells))
    if found.shortcuts:
        names = list(dict.fromkeys(name for scores in found.shortcuts.values() for name in scores))
        cells = [
            [escape(label), *(f"{s[n]:.2f}" if n in s else "" for n in names)] for label, s in found.shortcuts.items()
        ]
        parts += ["<h2>What gives labels away, macro-F1</h2>", table(["label", *names], cells)]
    return page(f"Audit of {found.path}", *parts)

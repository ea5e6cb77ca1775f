"""The commands that judge: packs, datasets, anyone's labelled data, and requests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from ruvtab import show
from ruvtab.settings import AsJson, Folder, mapped

if TYPE_CHECKING:
    from ruvtab.audit import Audit

Columns = Annotated[str | None, Parameter(help="Names in the file: input=text,category=agent,… .")]
Pack = Annotated[Path | None, Parameter(help="The pack whose routing table holds, if not the English one.")]


def check(
    pack: Annotated[Path | None, Parameter(help="The pack folder; none is the English pack.")] = None,
    *,
    json: AsJson = False,
) -> None:
    """Read a pack and print every fault with file and line.

    For example:

    * `ruvtab check my-pack`
    * `ruvtab check --json`
    """
    from ruvtab.check import load
    from ruvtab.errors import PackError

    try:
        read = load(pack)
    except PackError as error:
        if json:
            show.as_json(
                {"faults": [{"file": str(f.file), "line": f.line, "message": f.message} for f in error.faults]}
            )
            raise SystemExit(2) from None
        raise
    counts = read.summary()
    if json:
        show.as_json({"faults": [], **counts})
        return
    show.table(
        f"{read.meta.name} {read.meta.version} ({read.meta.language})",
        ["category", "families", "subjects", "templates", "inputs", "contexts"],
        [[str(x) for x in r.values()] for r in counts["categories"]],
    )
    print(f"{counts['tables']} vocabulary tables with {counts['rows']:,} rows. No faults.")


def verify(
    out: Folder,
    *,
    pack: Annotated[Path | None, Parameter(help="The pack it was built from, if not the English one.")] = None,
    sample: Annotated[int, Parameter(help="Rows to render anew and compare.", validator=Number(gte=0))] = 200,
    json: AsJson = False,
) -> None:
    """Check that the files match the manifest and that rows match the config. Exit code 1 if not.

    For example:

    * `ruvtab verify dataset`
    * `ruvtab verify mine --pack my-pack --sample 1000`
    """
    from ruvtab.verify import verify as problems_of

    with show.progress("files", quiet=json) as progress:
        problems = problems_of(out, pack=pack, sample=sample, progress=progress)
    if json:
        show.as_json({"ok": not problems, "problems": problems})
    else:
        print("\n".join(problems) if problems else f"{out}: files match the manifest, sampled rows match the config")
    raise SystemExit(1 if problems else 0)


def audit(
    path: Path,
    *,
    columns: Columns = None,
    pack: Pack = None,
    near: Annotated[float, Parameter(help="Similarity from which texts are near duplicates.")] = 0.9,
    html: Annotated[Path | None, Parameter(help="Write the audit as a page, too.")] = None,
    json: AsJson = False,
) -> None:
    """Try labelled data on named gates: placeholders, duplicates, contradictions, leaks, balance, shortcuts and more.

    Reads JSONL, JSON, CSV, Parquet or a folder of them, ours or anyone's. Exit code 1 when a gate fails.

    For example:

    * `ruvtab audit dataset`
    * `ruvtab audit train.jsonl --columns input=prompt,category=agent`
    * `ruvtab audit dataset --html audit.html --json`
    """
    from ruvtab.audit import audit as audit_of
    from ruvtab.errors import ConfigError
    from ruvtab.page import audit_page
    from ruvtab.prepare import prepared
    from ruvtab.router import routing_of

    if not 0.5 <= near <= 1:
        raise ConfigError(f"--near is a similarity from 0.5 to 1, found {near:g}; for example 0.9")
    routing, _ = routing_of(prepared(pack)[0].taxonomy.routing)
    found = audit_of(path, columns=mapped(columns), routing=routing, near=near)
    if html is not None:
        show.written(html, audit_page(found))
    if json:
        show.as_json(found.as_dict())
    else:
        _show_audit(found)
    raise SystemExit(0 if found.passed else 1)


def _show_audit(found: Audit) -> None:
    word = {True: "ok", False: "FAIL", None: "skipped"}
    show.table(
        f"{found.path}: {found.n_rows:,} rows",
        ["gate", "", "rows", "what it looks for"],
        [[gate.name, word[gate.passed], f"{gate.n_bad:,}" if gate.n_bad else "", gate.why] for gate in found.gates],
    )
    for gate in found.gates:
        if gate.passed is False and gate.examples:
            print(f"{gate.name}, the first of {gate.n_bad:,}:")
            print("\n".join(f"  {example}" for example in gate.examples))
    for label, shares in found.shares.items():
        named = "  ".join(f"{value} {share:.1%}" for value, share in list(shares.items())[:12])
        print(f"{label:<15}{named}" + (f"  … {len(shares)} values" if len(shares) > 12 else ""))
    if found.shortcuts:
        names = list(dict.fromkeys(name for scores in found.shortcuts.values() for name in scores))
        rows = [[label, *(f"{s[n]:.2f}" if n in s else "" for n in names)] for label, s in found.shortcuts.items()]
        show.table("Shortcuts: macro-F1 of what should not suffice", ["label", *names], rows)
    failed = [gate.name for gate in found.gates if gate.passed is False]
    print(f"{len(failed)} of {len(found.gates)} gates failed: {', '.join(failed)}" if failed else "All gates hold.")


def evaluate(
    dataset: Path,
    *,
    on: Annotated[Path | None, Parameter(help="Labelled requests to try routers on [default: the test split].")] = None,
    compare: Annotated[Path | None, Parameter(help="Another dataset, tried beside it.")] = None,
    columns: Columns = None,
    pack: Pack = None,
    encoder: Annotated[Path | None, Parameter(help="A local sentence-transformers model, in place of n-grams.")] = None,
    all_splits: Annotated[bool, Parameter(negative="", help="Train on the test split, too.")] = False,
    max_rows: Annotated[
        int | None, Parameter(help="Rows to train on at most [default: 50000].", validator=Number(gte=2))
    ] = None,
    prices: Annotated[Path | None, Parameter(help="TOML file of model prices, if not ours.")] = None,
    tokens: Annotated[str, Parameter(help="Tokens of a request and of its answer, which cost rests on.")] = "1500,800",
    save: Annotated[Path | None, Parameter(help="Folder for the fitted router and its card.")] = None,
    json: AsJson = False,
) -> None:
    """Train a small router on a dataset and try it on labelled requests that nobody generated.

    Needs scikit-learn: `pip install 'ruvtab[eval]'`.

    For example:

    * `ruvtab evaluate dataset` tries it on the dataset's own test split.
    * `ruvtab evaluate dataset --on labelled.jsonl --save router`
    * `ruvtab evaluate dataset --on labelled.jsonl --compare other.jsonl`
    """
    from ruvtab.card import model_card
    from ruvtab.cost import prices_of
    from ruvtab.evaluate import MAX_ROWS, Routing
    from ruvtab.evaluate import evaluate as evaluation_of
    from ruvtab.prepare import prepared
    from ruvtab.router import routing_of

    taxonomy = prepared(pack)[0].taxonomy
    table, agents = routing_of(taxonomy.routing)
    routing = Routing(table, agents, taxonomy.models, prices_of(prices), _tokens_of(tokens))
    settings: dict[str, Any] = {
        "routing": routing,
        "columns": mapped(columns),
        "encoder": str(encoder) if encoder is not None else None,
        "all_splits": all_splits,
        "max_rows": MAX_ROWS if max_rows is None else max_rows,
    }
    with show.waiting("training routers", quiet=json):
        made = [evaluation_of(path, on, **settings) for path in (dataset, compare) if path is not None]
    if save is not None:
        show.written(save / "README.md", model_card(made[0].report))
        made[0].router.save(save)
    if json:
        show.as_json([m.report for m in made] if compare is not None else made[0].report)
        return
    for m in made:
        _show_evaluation(m.report, worst=len(made) == 1)
    if save is not None:
        print(f"The router is in {save}; try it: ruvtab route 'add a test for the parser' --router {save}")


def _show_evaluation(report: dict[str, Any], *, worst: bool) -> None:
    title = f"{report['dataset']}: {report['train_rows']:,} rows trained on, {report['rows']:,} tried of {report['on']}"
    show.table(
        title,
        ["label", "predictor", "macro-F1", "accuracy", "calibration error"],
        [
            [label, name, *(f"{s[k]:.3f}" if k in s else "" for k in ("macro_f1", "accuracy", "calibration_error"))]
            for label, scores in report["scores"].items()
            for name, s in scores.items()
        ],
    )
    for label, found in report["confusion"].items():
        rows = [[v, *map(str, counts)] for v, counts in zip(found["values"], found["counts"], strict=True)]
        show.table(f"{label}: true in rows, decided in columns", ["", *found["values"]], rows)
    if worst:
        print("Rows whose right labels were held least likely:")
        for bad in report["worst"]:
            wrong = [f"{k} {bad['right'][k]} → {v}" for k, v in bad["decided"].items() if v != bad["right"][k]]
            print(f"  {bad['input'][:110]!r}: {', '.join(wrong) or 'right, but barely'}")
    if "model_accuracy" in report:
        print(
            "\nmodel accuracy  " + "  ".join(f"{name} {share:.3f}" for name, share in report["model_accuracy"].items())
        )
        c = report["cost"]
        print(
            f"cost of 1,000 requests of {c['tokens'][0]:,} + {c['tokens'][1]:,} tokens, prices of {c['prices_from']}: "
            f"${c['routed']:.2f} routed, ${c['always_largest']:.2f} always the largest model, ${c['right']:.2f} if all "
            f"decisions were right\n{c['under']:.1%} go to too small a model (${c['regret']:.2f} paid twice), "
            f"{c['over']:.1%} to too large a one (${c['waste']:.2f} wasted)"
        )
    if (robust := report.get("robustness", {}).get("one_decision")) is not None:
        print(f"{robust:.1%} of {report['robustness']['groups']:,} groups of paraphrases get one decision")


def route(
    *text: str,
    router: Annotated[Path, Parameter(help="The folder of a saved router.")] = Path("router"),
    json: AsJson = False,
) -> None:
    """Decide a request by a router saved with `evaluate --save`: agent, labels, model, confidence.

    For example:

    * `ruvtab route "rename the build job to nightly"`
    * `ruvtab route --router my-router` decides each line of its standard input.
    """
    from ruvtab.errors import ConfigError
    from ruvtab.router import load

    lines = list(text) if text or sys.stdin.isatty() else [line.strip() for line in sys.stdin if line.strip()]
    if not lines:
        raise ConfigError("nothing to decide; give a request in quotes, or one per line on standard input")
    decided = load(router).route(lines).to_dicts()
    if json:
        show.as_json([{"input": line} | found for line, found in zip(lines, decided, strict=True)])
        return
    for line, found in zip(lines, decided, strict=True):
        labels = "  ".join(f"{k} {v}" for k, v in found.items() if k != "confidence")
        print(f"{labels}  confidence {found['confidence']:.2f}" + (f"  {line[:60]!r}" if len(lines) > 1 else ""))


def _tokens_of(tokens: str) -> tuple[int, int]:
    from ruvtab.errors import ConfigError

    parts = tokens.split(",")
    if len(parts) != 2 or not all(part.strip().isdigit() for part in parts):
        raise ConfigError(f"--tokens {tokens!r}: two numbers, of request and answer, for example 1500,800")
    return int(parts[0]), int(parts[1])

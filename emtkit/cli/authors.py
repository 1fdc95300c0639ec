"""The commands for authors of plugins and owners of other networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from emtkit.cli.terminal import echo
from emtkit.errors import EmtkitError, PluginError
from emtkit.plugin.catalogue import FAMILIES

if TYPE_CHECKING:
    from emtkit.execute.foreign import Analyzed
    from emtkit.plugin.catalogue import Kind


def plugin_names(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Installed plugins, and plugin files in the current folder, for the shell."""
    from emtkit.plugin.index import installed

    names = {plugin.name: plugin.summary for plugin in installed().plugins}
    names |= {path.name: "a file" for path in Path().glob("*.py")}
    return [
        CompletionItem(name, help=text)
        for name, text in sorted(names.items())
        if name.startswith(incomplete)
    ]


@click.command()
@click.argument("names", nargs=-1, required=True, shell_complete=plugin_names)
@click.option("-v", "--verbose", is_flag=True, help="Also show the rules that hold.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(names: tuple[str, ...], verbose: bool, as_json: bool) -> int:
    """Check plugins (files, or names of installed ones) against every rule of their kind.

    Exits with 3 if a rule is broken.
    """
    from emtkit.testing import find

    results = []
    for examination in [found for name in names for found in find(name)]:
        own = []
        for result in examination.results():
            own.append(result)
            if not as_json and (verbose or result.state == "failed"):
                echo(str(result))
        results += own
        if not as_json:
            counts = {state: sum(one.state == state for one in own) for state in ("ok", "skipped")}
            failed = len(own) - sum(counts.values())
            plugin = examination.plugin
            echo(
                f"{plugin.kind} {plugin.name}: {counts['ok']} rules hold, {failed} broken, "
                f"{counts['skipped']} do not apply"
            )
    if as_json:
        echo(json.dumps([vars(result) for result in results], indent=2))
    return PluginError.exit_code if any(one.state == "failed" for one in results) else 0


@click.command()
@click.argument("kind", type=click.Choice(list(FAMILIES.values())))
@click.argument("name")
@click.option("--like", default="", help="Of an architecture: recurrent, gated, ssm, attention.")
def new(kind: Kind, name: str, like: str) -> int:
    """Write a working plugin into the current folder, to be changed into your own."""
    from emtkit.testing import new as write

    path = write(kind, name, Path(), like)
    article = "an" if kind[0] == "a" else "a"
    echo(f"{path} is {article} {kind} that works: change it, then `emtkit check {path}`")
    echo(f"a study uses it with `plugins: [./{path}]` and the name '{name}'")
    return 0


@click.command()
@click.option("--out", type=click.Path(path_type=Path), help="Write it to this file.")
def schema(out: Path | None) -> int:
    """Print the JSON Schema of study files, made from the installed plugins.

    With `# yaml-language-server: $schema=study.schema.json` as its first line, a study is
    completed and checked by editors while it is written.
    """
    from emtkit.plugin.registry import Registry
    from emtkit.study.schema import study_schema

    text = json.dumps(study_schema(Registry.installed()), indent=2)
    if out is None:
        echo(text)
    else:
        out.write_text(text + "\n", encoding="utf-8")
        echo(out)
    return 0


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--task", required=True, help="Name, or '{use: hds, rule: T1}'.")
@click.option("--analyses", required=True, help="Names with commas, or a list '[{use: ...}]'.")
@click.option("--as", "as_", help="The architecture that it is: name, or '{use: ...}'.")
@click.option("--map", "names", help="W_hh=rnn.weight_hh_l0,b=rnn.bias_ih_l0+rnn.bias_hh_l0,...")
@click.option("--drop", multiple=True, help="Leave this weight out knowingly.")
@click.option("--plugin", "plugins", multiple=True, type=click.Path(path_type=Path, exists=True))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def analyze(
    file: Path,
    task: str,
    analyses: str,
    as_: str | None,
    names: str | None,
    drop: tuple[str, ...],
    plugins: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Measure a network that was trained elsewhere (.safetensors, .npz, or .pt with weights alone).

    nn.RNN, nn.GRU and nn.LSTM of one layer with nn.Linear are recognised by themselves.
    """
    from emtkit.execute.foreign import analyze as measure
    from emtkit.plugin.registry import Registry

    listed = _read(analyses, "--analyses", "[")
    found = measure(
        file,
        task=_read(task, "--task", "{"),
        analyses=[part.strip() for part in listed.split(",")] if listed is analyses else listed,
        as_=None if as_ is None else _read(as_, "--as", "{"),
        map=None if names is None else _pairs(names),
        drop=drop,
        registry=Registry.installed(plugins),
    )
    echo(json.dumps(_plain(found), indent=2) if as_json else _lines(found))
    return 0


AUTHORS_COMMANDS = (check, new, schema, analyze)


def _plain(found: Analyzed) -> dict[str, Any]:
    return {
        "architecture": found.model.name,
        "findings": {
            label: {
                "scalars": {
                    name: None if value != value else value
                    for name, value in findings.scalars.items()
                },
                "reasons": dict(findings.reasons),
            }
            for label, findings in found.findings.items()
        },
        "not_applicable": dict(found.refused),
    }


def _lines(found: Analyzed) -> str:
    lines = [f"architecture: {found.model.name}"]
    for label, findings in found.findings.items():
        for name, value in findings.scalars.items():
            why = findings.reasons.get(name, "")
            shown = f"- ({why})" if value != value else str(value)
            lines.append(f"{label}.{name}: {shown}")
    lines += [f"{label}: not applicable: {reason}" for label, reason in found.refused.items()]
    return "\n".join(lines)


def _read(text: str, option: str, start: str) -> Any:
    """The value of YAML that begins with `start`; other text as it is."""
    from emtkit.study.document import parse_document

    is_yaml = text.lstrip().startswith(start)
    return parse_document(text.encode(), option).value if is_yaml else text


def _pairs(text: str) -> dict[str, str]:
    pairs = [part.partition("=") for part in text.split(",")]
    for own, sign, other in pairs:
        if not (own.strip() and sign and other.strip()):
            raise EmtkitError(
                f"--map '{text}': '{own}{sign}{other}' is not a pair; write "
                "W_hh=rnn.weight_hh_l0,W_r=out.weight"
            )
    return {own.strip(): other.strip() for own, _, other in pairs}

"""`panotui policy show|validate|explain|export|diff|accept`: the rules, as resolved for a site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from panotui.commands.confined import confined
from panotui.commands.options import common_options, read_site, site_option
from panotui.errors import SiteError, UsageError
from panotui.model import Site
from panotui.model.quantities import counted

if TYPE_CHECKING:
    from panotui.engine.engine import Engine
    from panotui.site.view import SiteView


def _view(site: Path | None) -> SiteView:
    from panotui.site.view import SiteView

    known, _, _ = read_site(site)
    return SiteView(known)


@click.group()
def command() -> None:
    """Show, validate, explain, export or compare the policy."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@site_option
@common_options
def show(as_json: bool, site: Path | None, verbose: bool, no_color: bool) -> int:
    """Print the resolved rules of the site, each with its source."""
    from panotui.policy.queries.show import show_json, show_text

    view = _view(site)
    click.echo(show_json(view).decode() if as_json else show_text(view))
    return 0


@command.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@site_option
@common_options
def validate(file: Path | None, site: Path | None, verbose: bool, no_color: bool) -> int:
    """Check a site file: print every error and warning with its line; exit 2 if there is an
    error.
    """
    from panotui.site.file import check_site, find_site, read_text

    path = file or site or find_site()
    if path is None:
        raise UsageError("policy validate", "there is no site file here", "Name one.")
    _, problems = check_site(read_text(path))
    errors = [p for p in problems if p.error]
    for problem in problems:
        kind = "error" if problem.error else "warning"
        field = f"{problem.field}: " if problem.field else ""
        click.echo(f"{path}:{problem.line}: {kind}: {field}{problem.text}")
    if errors:
        said = counted(len(errors), "error")
        raise SiteError(str(path), said, "Each is listed above with its line.")
    click.echo(f"{path}: good")
    return 0


@command.command()
@click.option("--host", required=True, help="A name or an address.")
@click.option("--port", "number", required=True, type=int, help="The server's port.")
@click.option("--transport", default="tcp", show_default=True)
@click.option("--from", "--from-port", "from_port", metavar="NAME",
              help="The appliance's port that the connection uses.")  # fmt: skip
@click.option("--direction", default="out", type=click.Choice(["out", "in"]), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@site_option
@common_options
def explain(
    host: str,
    number: int,
    transport: str,
    from_port: str | None,
    direction: str,
    as_json: bool,
    site: Path | None,
    verbose: bool,
    no_color: bool,
) -> int:
    """Print the policy's verdict on a hypothetical connection."""
    import msgspec

    from panotui.policy.queries.explain import explain as explained

    said = explained(_view(site), host, number, transport, from_port, direction)
    click.echo(msgspec.json.encode(said).decode() if as_json else "\n".join(said.lines()))
    return 0


@command.command()
@click.option(
    "--format", "kind", required=True, type=click.Choice(["nftables", "mud", "csv", "text"]),
    help="nftables rule set, MUD (RFC 8520), CSV for a ticket, or a request in plain words.",
)  # fmt: skip
@click.option(
    "--family", type=click.Choice(["inet", "bridge"]), default="inet", show_default=True,
    help="nftables: for a router, or for an inline bridge.",
)  # fmt: skip
@click.option(
    "--seen", type=click.Path(path_type=Path), metavar="CAPTURE",
    help="Take addresses of names (nftables), names (MUD) and the site from this capture.",
)  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE")
@site_option
@common_options
def export(
    kind: str,
    family: str,
    seen: Path | None,
    output: Path | None,
    site: Path | None,
    verbose: bool,
    no_color: bool,
) -> int:
    """Print the policy for the owner of the firewall."""
    if seen is None:
        return _put(_exported(kind, _view(site), family), output, output)
    from panotui.commands.input import analysed, captures

    files = captures([str(seen)])
    known, _, _ = read_site(site)
    with confined(captures=files, files=[("-o", output)]) as places:
        engine = analysed(files, known, "policy export")
        text = _exported(kind, engine.view, family, _answers(engine))
        return _put(text, output, None if output is None else places.place(output))


def _put(text: str, named: Path | None, output: Path | None) -> int:
    if output is None:
        click.echo(text, nl=False)
        return 0
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            str(named), error.strerror or str(error), "Name another file with -o."
        ) from None
    return 0


def _answers(engine: Engine) -> tuple[tuple[str, str], ...]:
    """(name, address) pairs seen in DNS or in a connection, each once, in order."""
    pairs = [(name, address) for _, name, address in engine.names.answers()]
    pairs += [
        (flow.host, flow.dst)
        for flow in engine.flow_records()
        if flow.host and flow.host_source == "sni" and flow.verdict == "allowed"
    ]
    return tuple(sorted(dict.fromkeys(pairs)))


def _exported(
    kind: str, view: SiteView, family: str, answers: tuple[tuple[str, str], ...] = ()
) -> str:
    if kind == "nftables":
        from panotui.policy.queries.export_nftables import export_nftables

        return export_nftables(view, answers, family=family)
    if kind == "mud":
        import time

        from panotui.policy.queries.export_mud import export_mud

        names = dict.fromkeys(name for name, _ in answers)
        return export_mud(view, names, time_ns=time.time_ns()).decode()
    if kind == "csv":
        from panotui.policy.queries.export_csv import export_csv

        return export_csv(view)
    from panotui.policy.queries.firewall_text import firewall_text

    return firewall_text(view)


@command.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@common_options
def diff(old: Path, new: Path, as_json: bool, verbose: bool, no_color: bool) -> int:
    """Print the changes from site file OLD to site file NEW; or, if NEW is a capture, the rules
    that its traffic needs and OLD's policy lacks, and the rules that no flow used.
    """
    import msgspec

    from panotui.policy.queries.diff import diff_policies

    before, _, _ = read_site(old)
    if new.suffix != ".toml" and new.exists():
        return _observed(before, new, as_json)
    after, _, _ = read_site(new)
    changes = diff_policies(before, after)
    if as_json:
        click.echo(msgspec.json.encode({"changes": changes}).decode())
    else:
        click.echo("\n".join(change.line() for change in changes) or "no difference")
    return 0


def _observed(site: Site, capture: Path, as_json: bool) -> int:
    import msgspec

    from panotui.commands.input import analysed, captures
    from panotui.policy.queries.diff import diff_observed

    files = captures([str(capture)])
    with confined(captures=files):
        engine = analysed(files, site, "policy diff")
    slots = engine.flows.shown()
    rows = engine.flows.rows[slots]
    judged = engine.verdicts.judge.judge_rows(
        rows,
        engine.now_ns,
        interfaces=engine.verdicts.interfaces,
        own=engine.flows.own[slots],
        final=True,
    )
    found = diff_observed(engine.view, rows, judged)
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
    else:
        click.echo("\n".join(found.lines()) or "no difference")
    return 0

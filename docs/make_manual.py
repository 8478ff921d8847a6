"""Generates the man page and the completion scripts from the commands' own help.

`python docs/make_manual.py` writes `panotui.1` and `completion/` beside itself; a test fails if
they are out of date.
"""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import get_completion_class

from panotui.cli import COMMANDS, COMPLETION, group
from panotui.tui.keys import KEYS, written

FOLDER = Path(__file__).parent
# shell -> the file's name where the shell looks for it
SHELLS = {"bash": "panotui", "zsh": "_panotui", "fish": "panotui.fish"}

_EXIT = (
    ("0", "all went well"),
    ("1", "violations or findings were found (only with --fail-on)"),
    ("2", "a wrong option, site file or settings file"),
    ("3", "an input cannot be read, or the recorder is gone"),
    ("4", "no privilege to capture"),
    ("5", "an interface has gone"),
    ("6", "the recording can no longer be written"),
    ("7", "two captures share no packet"),
    ("8", "the clocks of two captures are an hour or more apart; see --any-offset"),
    ("9", "frames of a capture are cut too short to tell packets apart"),
    ("10", "a baseline or a recording is of another site: its name, cameras or time zone"),
    ("70", "a fault of the program; a crash file says where"),
    ("130", "interrupted"),
)
_FILES = (
    ("./site.toml, ~/.config/panotui/site.toml", "the site: ports, cameras, services"),
    ("~/.config/panotui/config.toml", "the screen: keys, columns, theme; see panotui config"),
    ("~/.local/state/panotui/", "what the screen remembers, and crash files"),
)
_ENVIRONMENT = (
    ("NO_COLOR", "no colours, as --no-color"),
    ("PANOTUI_THEME, PANOTUI_UNITS, PANOTUI_MOUSE", "as --theme, --units and --mouse"),
    ("PANOTUI_CONFIG", "another settings file"),
    ("XDG_CONFIG_HOME, XDG_STATE_HOME", "where settings and state are kept"),
    ("COLORFGBG", "the background colour, if the terminal does not report it"),
)
_EXAMPLES = (
    ("panotui demo", "try the program, without privileges"),
    ("sudo panotui eth0 eth1", "the screen on two interfaces"),
    ("sudo panotui record eth0 eth1 -o /var/lib/panotui/night --for 8h", "record a night"),
    ("panotui review night.panotui", "look at it afterwards"),
    ("ssh box tcpdump -w - | panotui analyze -", "analyse the packets of another machine"),
)


def manual() -> str:
    """The page in roff."""
    context = click.Context(group, info_name="panotui")
    lines = [
        '.TH PANOTUI 1 "" "panotui" "User commands"',
        ".SH NAME",
        r"panotui \- network monitor in the terminal for the AWS Panorama Appliance",
        ".SH SYNOPSIS",
        ".B panotui",
        r"[\fICOMMAND\fR] [\fIOPTION\fR]... [\fIARGUMENT\fR]...",
        ".SH DESCRIPTION",
        *_paragraphs(group.help or ""),
        ".SH COMMANDS",
    ]
    for name, (_, said, shown) in COMMANDS.items():
        if shown:
            command = group.get_command(context, name)
            assert command is not None
            lines += _command(command, name, said, context)
    lines.append(".SH KEYS")
    told: set[tuple[str, str]] = set()
    for key in KEYS:
        if (written(key), key.help) not in told:
            told.add((written(key), key.help))
            lines += _item(written(key), key.help)
    for title, entries in (("FILES", _FILES), ("ENVIRONMENT", _ENVIRONMENT),
                           ("EXIT STATUS", _EXIT), ("EXAMPLES", _EXAMPLES)):  # fmt: skip
        lines.append(f".SH {title}")
        for term, said in entries:
            lines += _item(term, said)
    return "\n".join(lines) + "\n"


def _command(command: click.Command, name: str, said: str, parent: click.Context) -> list[str]:
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f'.SS "panotui {_roff(name)} {_roff(usage)}"', *_paragraphs(command.help or said)]
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Argument):
            continue  # the usage names them
        record = parameter.get_help_record(context)
        if record is not None and "--help" not in record[0]:
            lines += _item(*record)
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            assert found is not None
            lines += _item(f"{name} {sub}", found.get_short_help_str(200))
    return lines


def _item(term: str, said: str) -> list[str]:
    return [".TP", f".B {_roff(term)}", _roff(said)]


def _paragraphs(text: str) -> list[str]:
    parts = [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]
    return [line for part in parts for line in (".PP", _roff(part))]


def _roff(text: str) -> str:
    """Text with literal dashes and leading dots."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{text}" if text.startswith((".", "'")) else text


def completion(shell: str) -> str:
    """The script that a shell reads."""
    made = get_completion_class(shell)
    assert made is not None
    return made(group, {}, "panotui", COMPLETION).source()


def files() -> dict[Path, str]:
    """Path -> text of every generated file."""
    out = {FOLDER / "panotui.1": manual()}
    for shell, name in SHELLS.items():
        out[FOLDER / "completion" / shell / name] = completion(shell)
    return out


def main() -> None:
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

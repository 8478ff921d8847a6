"""The command line: picks the command, and turns every failure into one line and an exit code.

Commands are one per file in `panotui.commands` and are imported when they run, so that starting and
`--version` only cost the time of click. Exit codes: 0 clean, 1 with `--fail-on`, 2 usage or site
file, 3 input, 4 privilege, 5 interface, 6 recording, 7 to 10 captures or a baseline that do not
fit, 70 a fault of the program (with a crash file), 130 interrupted.
"""

from __future__ import annotations

import os
import signal


def _quiet_interrupt(number: int, frame: object) -> None:
    os._exit(130)


# Ctrl-C during the imports gives no traceback, either; `main` handles it later.
_at_start = signal.getsignal(signal.SIGINT)
if _at_start is signal.default_int_handler:
    signal.signal(signal.SIGINT, _quiet_interrupt)

# numpy's linear algebra would start a thread per core, each with its own memory; it is not used
# here, and without threads numpy loads a third faster.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import errno  # noqa: E402
import importlib  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from pathlib import Path  # noqa: E402

import click  # noqa: E402

from panotui import __version__  # noqa: E402
from panotui.errors import (  # noqa: E402
    CHECK,
    InputError,
    NoSuchCommand,
    OutputError,
    PanotuiError,
    UsageError,
)
from panotui.wire.text import printable  # noqa: E402

# name -> (module, one line of help, shown in `--help`); the line spares importing the module
COMMANDS: dict[str, tuple[str, str, bool]] = {
    "live": ("live", "Show the screen on live interfaces (the default command).", True),
    "demo": ("demo", "Show the screen on a bundled recording; needs no privileges.", True),
    "record": ("record", "Record state, flows, events and evidence, without a screen.", True),
    "attach": ("attach", "Show the screen of a running recorder.", True),
    "review": ("review", "Show the screens of a recording or capture, with a time line.", True),
    "analyze": ("analyze", "Analyse captures or a recording in one pass; results on stdout.", True),
    "report": ("report", "Write a self-contained page with plots, a PDF, or Markdown.", True),
    "compare-captures": (
        "compare_captures",
        "Compare two captures of the same traffic: losses, delays, changes.",
        True,
    ),
    "evidence": ("evidence", "Write the packets that prove a finding or violation.", True),
    "days": ("days", "List, check, copy or remove the days of a recording.", True),
    "baseline": ("baseline", "Learn what is usual at a site, to report what is not.", True),
    "metrics": ("metrics", "Export a recorder's state to Prometheus (extra `metrics`).", True),
    "fleet": ("fleet", "Analyse captures of many sites on many workers (extra `fleet`).", True),
    "check": ("check", "Test DNS, TCP, TLS, NTP, gateway and cameras from here.", True),
    "policy": ("policy", "Show, validate, explain, export or compare the policy.", True),
    "init": ("init", "Watch for a minute, or read a capture, and draft a site file.", True),
    "config": ("config", "Print or check the screen's settings.", True),
    "service": ("service", "Print a hardened systemd unit for the recorder.", True),
    "doctor": ("doctor", "Check what works on this machine, and how to fix the rest.", True),
    "_collect": ("collect", "The unprivileged side of `live` (internal).", False),
    "_analyze": ("analyze_alone", "One capture of a fleet (internal).", False),
    "_meter": ("meter", "A meter of its own process for several captures (internal).", False),
}
# Options that may also come before the command; each with whether it takes a value.
_COMMON = {"--site": True, "--json": False, "-v": False, "--verbose": False, "--no-color": False}

COMPLETION = "_PANOTUI_COMPLETE"  # click's own: `_PANOTUI_COMPLETE=bash_source panotui`
EXIT_INTERRUPTED = 130
OWN_PROCESS = "own process"  # a command may give up its rights for good: the process is only its
_CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
EXIT_FAULT = 70  # EX_SOFTWARE of sysexits.h


class _Group(click.Group):
    """Imports a command on use; an argument that is not a command goes to `live`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, (_, _, shown) in COMMANDS.items() if shown]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = importlib.import_module(f"panotui.commands.{entry[0]}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Shell completion also parses, and needs the names of commands.
        return super().parse_args(ctx, args if ctx.resilient_parsing else _with_command(args))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(n, h) for n, (_, h, shown) in COMMANDS.items() if shown])


def _with_command(args: list[str]) -> list[str]:
    """`args` with the command first: common options move behind it, `live` is inserted.

    `eth0` -> `live eth0`; `--site f eth0` -> `live --site f eth0`; `--json analyze f` ->
    `analyze --json f`; the group's own `--version` and `--help` stay.
    """
    leading: list[str] = []
    rest = list(args)
    while rest and rest[0].split("=", 1)[0] in _COMMON:
        option = rest.pop(0)
        leading.append(option)
        if _COMMON[option.split("=", 1)[0]] and "=" not in option and rest:
            leading.append(rest.pop(0))
    if not leading and rest and rest[0] in ("--version", "--help", "-h", "-V"):
        return args
    if rest and rest[0] in COMMANDS:
        return [rest[0], *leading, *rest[1:]]
    if rest and not rest[0].startswith("-"):
        _require_interface(rest[0])
    return ["live", *leading, *rest]


def _require_interface(word: str) -> None:
    """NoSuchCommand for a first word that is neither a command nor an interface, UsageError for a
    file; a possible name of a missing interface is left to `live`.
    """
    import socket  # 10 ms that no other start needs

    if word in (name for _, name in socket.if_nameindex()):
        return
    if os.path.exists(word):
        remedy = f"Look at it with `panotui review {word}`."
        raise UsageError(word, "it is a file or folder, not a command or an interface", remedy)
    shown = [name for name, (_, _, is_shown) in COMMANDS.items() if is_shown]
    guess = f"--{word}" if word in ("help", "version") else near(word, shown)
    # Interfaces are numbered, except some bridges and renamed ones.
    if guess is not None or not any(character.isdigit() for character in word):
        raise NoSuchCommand(word, guess, "panotui")


def near(word: str, names: Sequence[str]) -> str | None:
    """The most similar name to a mistyped `word`, if there is one."""
    from difflib import get_close_matches  # 3 ms, only for a mistake

    begun = [name for name in names if len(word) > 1 and name.startswith(word.lower())]
    if len(begun) == 1:
        return begun[0]
    found = get_close_matches(word.lower().lstrip("-"), names, 1, 0.65)
    return found[0] if found else None


@click.command(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Without a command: the screen on live interfaces, as `panotui live`. "
    "Exit codes: 0 clean, 1 violations or findings with --fail-on, 2 usage or site file, "
    "3 input cannot be read, 4 no privilege, 5 interface gone, 6 recording not writable, "
    "7 to 10 captures or a baseline that do not fit together, 130 interrupted.",
)
@click.version_option(__version__, "-V", "--version", prog_name="panotui")
def group() -> None:
    """A network monitor for the AWS Panorama Appliance: ports, streams, policy, diagnosis."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code and raises nothing."""
    _open_standard_streams()
    arguments = list(sys.argv[1:] if args is None else args)
    code = 0
    try:
        code = _run(arguments, OWN_PROCESS if args is None else None)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe
        _quiet_stdout()
    except OSError as error:
        _quiet_stdout()
        _say(str(OutputError(error)))
        code = OutputError.exit_code
    except KeyboardInterrupt:
        _quiet_stdout()
        code = EXIT_INTERRUPTED
    return code


def _run(arguments: list[str], whose: str | None) -> int:
    """The exit code; OSError if stdout cannot be written."""
    wanted = os.environ.get(COMPLETION)
    if wanted:
        from click.shell_completion import shell_complete

        return shell_complete(group, {}, "panotui", COMPLETION, wanted)
    verbose = "-v" in arguments or "--verbose" in arguments
    try:
        if "" in arguments:
            raise UsageError(
                "usage", "one of the arguments is empty", "Is a variable of the shell not set?"
            )
        # Not `group.main`: click handles Ctrl-C and a closed pipe in its own way.
        with group.make_context("panotui", arguments, obj=whose) as context:
            outcome = group.invoke(context)
        return outcome if isinstance(outcome, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except PanotuiError as error:
        if isinstance(error, OutputError):
            _quiet_stdout()  # the rest is not written again
        _say(str(error))
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        _say(_commands_line(error))
        return 2
    except click.ClickException as error:
        _say(_usage_line(error))
        return 2
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        raise
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 0
    except MemoryError:
        _say("memory: this machine has not enough for that. Analyse fewer files at once.")
        return EXIT_FAULT
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None and error.errno in _CANNOT_WRITE:
            raise  # commands with their own output file report its errors themselves
        refused = _refused_path(error, arguments)
        if refused is not None:
            _say(str(refused))
            return refused.exit_code
        _say(_fault_line(error))
        if verbose:
            traceback.print_exc()
        return EXIT_FAULT


def _open_standard_streams() -> None:
    """If the caller closed them, none of our files may get their numbers."""
    number = os.open(os.devnull, os.O_RDWR)
    while number < 3:
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for good


def _refused_path(error: Exception, arguments: Sequence[str]) -> PanotuiError | None:
    """The system's error about a path that the user named; None for another error.

    Testing a path can fail just like opening it: another user's closed folder.
    """
    if not isinstance(error, OSError) or not isinstance(error.filename, str | bytes):
        return None
    path = os.fsdecode(error.filename)
    why = error.strerror or type(error).__name__
    for before, argument in zip(["", *arguments], arguments, strict=False):
        option, _, value = argument.rpartition("=")
        if value and Path(path).is_relative_to(value):
            if "output" in option or before in ("-o", "--output"):
                return UsageError(path, f"it cannot be written: {why}", "Name another with -o.")
            return InputError(path, f"it cannot be read: {why}", CHECK)
    return None


def _usage_line(error: click.ClickException) -> str:
    what = "usage"
    context = getattr(error, "ctx", None)
    if context is not None and context.info_name:
        what = context.command_path.removeprefix("panotui ").strip() or "usage"
    why = error.format_message().rstrip(".").replace("\n", " ")
    command = f"panotui {what}" if what not in ("usage", "panotui") else "panotui"
    return f"{what}: {why}{'' if why.endswith('?') else '.'} See `{command} --help`."


def _commands_line(error: click.exceptions.NoArgsIsHelpError) -> str:
    context = error.ctx
    assert context is not None
    assert isinstance(context.command, click.Group)
    names = ", ".join(context.command.list_commands(context))
    path = context.command_path
    return f"{path.removeprefix('panotui ')}: a command is missing: {names}. See `{path} --help`."


def _say(line: str) -> None:
    # a file name or a library's message may contain anything
    _say_raw("panotui: " + printable(" ".join(line.split()), 2_000))


def _say_raw(text: str) -> None:
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        pass  # a closed terminal: there is no reader left


def _quiet_stdout() -> None:
    """The reader of our output has gone: drop the buffer silently at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        pass


def state_folder() -> Path:
    """`$XDG_STATE_HOME/panotui`, by default `~/.local/state/panotui`; created if needed."""
    base = os.environ.get("XDG_STATE_HOME")
    folder = (Path(base) if base else Path.home() / ".local" / "state") / "panotui"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _temporary_folder() -> Path:
    """A new folder of our own beside the temporary files. (`tempfile` would cost each start 14 ms,
    and can no longer be imported when this is called.)
    """
    name = f"panotui-crash-{os.getpid()}-{os.urandom(4).hex()}"
    folder = Path(os.environ.get("TMPDIR") or "/tmp") / name  # noqa: S108 - new, and ours alone
    folder.mkdir(mode=0o700)
    return folder


def _fault_line(error: Exception) -> str:
    text = " ".join(str(error).split())[:160]
    what = f"fault of the program ({type(error).__name__}{': ' + text if text else ''})"
    said = f"panotui {__version__}, Python {sys.version.split()[0]}\n{traceback.format_exc()}"
    for place in (state_folder, _temporary_folder):  # who gave up root cannot write into its home
        try:
            path = place() / f"crash-{os.getpid()}.txt"
            with path.open("x", encoding="utf-8") as file:
                file.write(said)
        except (OSError, RuntimeError):
            continue
        return f"{what}: details are in {path}. Please send that file to the maintainers."
    return f"{what}: no crash file could be written. Run again with -v to see where."


if _at_start is signal.default_int_handler:
    signal.signal(signal.SIGINT, _at_start)

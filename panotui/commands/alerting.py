"""Alerts sent while capturing: to a file of JSON lines, syslog, a webhook."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from msgspec import Struct

from panotui.errors import UsageError
from panotui.wire.text import printable

if TYPE_CHECKING:
    from panotui.feed.collector import Driver
    from panotui.telemetry.delivery import Channel, Standing

F = TypeVar("F", bound=Callable[..., Any])

TOKEN_VARIABLE = "PANOTUI_WEBHOOK_TOKEN"  # noqa: S105 - the name of it
TOKEN_BYTES_MAX, CA_BYTES_MAX = 16_384, 4 << 20
ENTERPRISE_MOST = 2**32 - 1


class Targets(Struct, frozen=True):
    """The destinations of alerts given on the command line."""

    alerts: str | None = None
    syslog: str | None = None
    syslog_enterprise: int | None = None
    webhook: str | None = None
    webhook_token_file: Path | None = None
    alerts_ca: Path | None = None

    def arguments(self) -> list[str]:
        """The same as arguments for another process of the program; a token in the environment
        stays there.
        """
        words: list[str] = []
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None:
                words += [f"--{name.replace('_', '-')}", str(value)]
        return words


def alert_options(function: F) -> F:
    """The options of `Targets`, which the command gets as `targets`."""

    @functools.wraps(function)
    def with_targets(*args: Any, **kwargs: Any) -> Any:
        said = {name: kwargs.pop(name) for name in Targets.__struct_fields__}
        return function(*args, targets=Targets(**said), **kwargs)

    whole: Any = with_targets
    for option in (
        click.option(
            "--alerts-ca", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
            help="Certificates (PEM) for tls:// and https://, instead of the machine's.",
        ),
        click.option(
            "--webhook-token-file", type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE", help=f"Bearer token for the webhook (or ${TOKEN_VARIABLE}).",
        ),
        click.option("--webhook", metavar="URL", help="POST each new violation or finding to URL."),
        click.option(
            "--syslog-enterprise", type=click.IntRange(1, ENTERPRISE_MOST), metavar="NUMBER",
            help="Your private enterprise number: adds the element panotui@NUMBER.",
        ),
        click.option(
            "--syslog", metavar="TARGET",
            help="HOST[:PORT], tcp://HOST:PORT, tls://HOST:PORT or a path.",
        ),
        click.option(
            "--alerts",
            metavar="FILE",
            help="Append new violations and findings to FILE as JSON lines.",
        ),
    ):  # fmt: skip
        whole = option(whole)
    return whole  # type: ignore[no-any-return]


class Alerts:
    """The receivers of alerts. Created before privileges are dropped, started after."""

    def __init__(self, targets: Targets, tell: Callable[[str], None] = lambda text: None) -> None:
        """`tell` sends a line to the user who started the program. UsageError if a file of
        `targets` cannot be opened.
        """
        self._targets = targets
        self._tell = tell
        self._handle = -1
        self._channels: list[Channel] = []
        self._told: dict[str, Standing] = {}
        self._ca = None if targets.alerts_ca is None else _text(
            "--alerts-ca", targets.alerts_ca, CA_BYTES_MAX
        )  # fmt: skip
        self._token = self._read_token()
        if targets.alerts is not None and targets.alerts != "-":
            try:
                from panotui.sources.live import deputy

                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
                self._handle = deputy.open_file(Path(targets.alerts), flags)
            except OSError as error:
                raise UsageError(
                    f"--alerts {targets.alerts}", error.strerror or str(error), "Name another file."
                ) from None

    def _read_token(self) -> str | None:
        """A token is used only for a webhook; its file takes precedence over the environment."""
        if self._targets.webhook is None:
            return None
        file = self._targets.webhook_token_file
        if file is None:
            token, where = os.environ.get(TOKEN_VARIABLE), f"${TOKEN_VARIABLE}"
        else:
            token = _text("--webhook-token-file", file, TOKEN_BYTES_MAX)
            where = f"--webhook-token-file {file}"
        token = (token or "").strip()
        if file is not None and not token:
            raise UsageError(where, "it contains no token", "Write the token into it.")
        if not token.isascii() or any(c.isspace() or not c.isprintable() for c in token):
            raise UsageError(where, "the token is not a single word", "Write only the token.")
        return token or None

    @property
    def by_network(self) -> bool:
        """Whether alerts leave this machine."""
        return self._targets.syslog is not None or self._targets.webhook is not None

    def start(self, pump: Driver, spool_folder: Path | None = None) -> None:
        """Open the receivers and join the pump's ticks; UsageError for an invalid target.

        `spool_folder`: folder for undelivered alerts, which are kept over a restart.
        """
        if not (self._targets.alerts or self._targets.syslog or self._targets.webhook):
            return
        from panotui.telemetry import lines, syslog, webhook
        from panotui.telemetry.alerts import AlertFilter

        targets = self._targets
        ways: list[tuple[str, str, Callable[[Any], None]]] = []
        if targets.alerts is not None:
            descriptor = self._handle if self._handle >= 0 else 1
            ways.append(("file", targets.alerts, lines.receiver(descriptor)))
        if targets.syslog is not None:
            ways.append(
                (
                    "syslog",
                    targets.syslog,
                    syslog.receiver(
                        targets.syslog, enterprise=targets.syslog_enterprise, ca=self._ca
                    ),
                )
            )
        if targets.webhook is not None:
            deliver = webhook.receiver(targets.webhook, token=self._token, ca=self._ca)
            ways.append(("webhook", webhook.shown(targets.webhook), deliver))
        self._channels = [_channel(kind, to, deliver, spool_folder) for kind, to, deliver in ways]
        news = AlertFilter()
        engine = pump.engine

        def told(now_ns: int) -> None:
            for alert in news.news(engine.snapshot()):
                for channel in self._channels:
                    channel.send(alert)
            for kind, values in self._changes():
                engine.events.tell(kind, now_ns, "this tool", values)

        pump.on_tick.append(told)

    def standings(self) -> list[Standing]:
        return [channel.standing() for channel in self._channels]

    def notice(self) -> str | None:
        """One line while alerts are not delivered."""
        failing = [s for s in self.standings() if s.failing is not None]
        if not failing:
            return None
        first = failing[0]
        return f"alerts do not reach {first.to} ({first.failing}); {first.waiting:,} wait"

    def _changes(self) -> list[tuple[str, dict[str, str]]]:
        """Changes not reported yet: (event, its values). Each change is reported once."""
        found: list[tuple[str, dict[str, str]]] = []
        for now in self.standings():
            before = self._told.get(now.to)
            was_failing = before is not None and before.failing is not None
            lost = now.lost - (0 if before is None else before.lost)
            refused = now.refused - (0 if before is None else before.refused)
            to, why = now.to, printable(now.failing or "", 200)
            if now.failing is not None and not was_failing:
                found.append(("alerts-undelivered", {"to": to, "why": why}))
                self._tell(f"alerts do not reach {to}: {why}. They are kept and tried again")
            elif was_failing and now.failing is None:
                found.append(("alerts-delivered", {"to": to}))
                self._tell(f"alerts reach {to} again")
            if refused and not (before is not None and before.refused):
                said = printable(now.refusal or "", 200)
                found.append(("alerts-refused", {"to": to, "why": said}))
                self._tell(f"{to} refuses alerts: {said}. Such an alert is not sent again")
            if lost and not (before is not None and before.lost):
                found.append(("alerts-lost", {"to": to}))
                self._tell(f"too many alerts wait for {to}: the oldest are dropped")
            self._told[now.to] = now
        return found

    def close(self) -> None:
        for channel in self._channels:
            channel.close()
        self._changes()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _channel(
    kind: str, to: str, deliver: Callable[[Any], None], spool_folder: Path | None
) -> Channel:
    from panotui.recording.parts import spool_name
    from panotui.telemetry.delivery import Channel, Spool

    spool: Spool | None = None
    if spool_folder is not None:
        path = spool_folder / spool_name(kind)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            spool = Spool(os.open(path, flags, 0o640))
        except OSError:
            spool = None  # a full disk is reported elsewhere; alerts continue
    return Channel(to, deliver, spool=spool)


def _text(option: str, path: Path, limit: int) -> str:
    """A small file of the caller's. UsageError."""
    from panotui.sources.live import deputy

    try:
        return deputy.read_file(path, limit).decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(
            f"{option} {path}", error.strerror or str(error), "Name another file."
        ) from None

"""Faults between the appliance and the cloud, made in the middle of the plant and taken away again.

`made()` gives a `Lab`: the plant, a stranger at its cloud switch, and the appliance's usual talk. A
`Fault` begins, is told, is over. Everything is real: nftables, dnsmasq, udhcpc, udhcpd,
nginx, kernels that ask by ARP; only the time server that is wrong is our own.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.lab.certificates import make_certificates
from tests.lab.netns import Namespace, end, veth
from tests.lab.plant import (
    CAMERA_NET,
    CLOUD,
    CLOUD_NET,
    HERE,
    IOT,
    LOGS,
    POLLED,
    REGION,
    Plant,
    wait_for,
)

APPLIANCE = f"{CLOUD_NET}.5"
MONITORING = f"monitoring.{REGION}.amazonaws.com"
S3 = f"s3.{REGION}.amazonaws.com"
IOT_HTTP = f"iot.{REGION}.amazonaws.com"
STRANGER, NOBODY = f"{CLOUD_NET}.66/24", f"{CLOUD_NET}.200"
INSPECTED = 9443  # where connections are led to that are inspected
FORGETS_S = 20  # so long a forgetful firewall remembers a silent connection
SILENT_S = 33  # an application is silent for so long


@dataclass
class Lab:
    """The plant, and what runs in it."""

    plant: Plant
    stranger: Namespace  # another machine at the cloud port's switch
    running: dict[str, subprocess.Popen[Any]] = field(default_factory=dict)

    def firewall(self, rules: str, hook: str = "forward") -> None:
        """The router drops or refuses by these rules until `open`."""
        self.plant.router.nft(
            f"table inet fault {{ chain {hook} {{ type filter hook {hook} priority 0; "
            f"policy accept;\n{rules}\n}}\n}}\n"
        )

    def redirect(self, rules: str) -> None:
        """The router leads new connections elsewhere until `open`."""
        self.plant.router.nft(
            "table ip fault_nat { chain pre { type nat hook prerouting priority -100; "
            f"policy accept;\n{rules}\n}}\n}}\n"
        )

    def open(self) -> None:
        for table in (("inet", "fault"), ("ip", "fault_nat")):
            self.plant.router.run(["nft", "delete", "table", *table], check=False)

    def start(self, name: str, place: Namespace, args: list[str], **more: Any) -> None:
        more = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **more}
        self.running[name] = place.popen(args, **more)

    def stop(self, name: str) -> None:
        end(self.running.pop(name))

    def python(self, name: str, place: Namespace, script: str, *args: str) -> None:
        """Run a peer of this folder until `stop`, and wait until it says that it is there."""
        command = [sys.executable, str(HERE / script), *args]
        self.start(name, place, command, stdout=subprocess.PIPE)
        wait_for(self.running[name], "ready")

    def talk(self) -> None:
        """The appliance's usual talk: five programs poll, one holds MQTT open."""
        plant = self.plant
        self.start("mqtt", plant.appliance, [
            *("mosquitto_sub", "-h", IOT, "-p", "443", "--tls-alpn", "x-amzn-mqtt-ca"),
            *("--cafile", str(plant.ca), "-k", "60", "-i", "panorama-1", "-t", "lab"),
        ])  # fmt: skip
        for n in range(5):
            clock = f"{CLOUD_NET}.1" if n == 0 else "-"
            self.start(f"talk{n}", plant.appliance, [
                sys.executable, str(HERE / "cloud_client.py"), str(plant.ca), "1", clock,
                *POLLED[n::5],
            ])  # fmt: skip

    def neighbours(self) -> None:
        """Others live on as well: the appliance's camera port, and a stranger that asks by ARP."""
        self.stranger.run(["ip", "address", "add", STRANGER, "dev", "eth0"])
        self.start("asks", self.stranger, ["busybox", "arping", "-I", "eth0", NOBODY])
        self.start("pings", self.plant.appliance, ["ping", "-q", f"{CAMERA_NET}.1"])

    def forget(self) -> None:
        """The router's firewall knows connections, and forgets silent ones."""
        for name, value in (("timeout_established", FORGETS_S), ("loose", 0)):
            self.plant.router.run(
                ["sysctl", "-qw", f"net.netfilter.nf_conntrack_tcp_{name}={value}"]
            )
        self.firewall("ct state invalid meta l4proto tcp reject with tcp reset")

    def fall_silent(self) -> None:
        """Three connections say nothing for a while and are used again; away with the result."""
        command = [str(self.plant.ca), IOT_HTTP, "3", str(SILENT_S)]
        self.python("idle", self.plant.appliance, "idle_client.py", *command)


@contextmanager
def made() -> Iterator[Lab]:
    with Plant([]) as plant, Namespace("strng") as stranger:
        veth(stranger, plant.cloudsw, "eth0", "strange")
        plant.cloudsw.run(["ip", "link", "set", "strange", "master", "br0"])
        for place, device in ((stranger, "eth0"), (plant.cloudsw, "strange")):
            place.run(["sysctl", "-qw", f"net.ipv6.conf.{device}.disable_ipv6=1"])
        stranger.run(["ip", "link", "set", "eth0", "address", "02:00:00:00:09:99"])
        for place in (plant.appliance, plant.cloud):
            # at a round trip of microseconds a busy machine sends again what was only late
            place.run(["sysctl", "-qw", "net.ipv4.tcp_early_retrans=0"])
        yield Lab(plant, stranger)


@dataclass(frozen=True)
class Fault:
    """One cause, the findings that a person is told of it, and how it comes and goes."""

    name: str
    told: tuple[str, ...]
    begin: Callable[[Lab], None]
    over: Callable[[Lab], None] = Lab.open
    clears: bool = True  # with the cause; else it is kept for a while, for who looks later


def inspected(lab: Lab) -> None:
    """Every new TLS connection ends at a box that speaks for the servers."""
    folder = lab.plant.folder
    make_certificates(
        folder, list(CLOUD), organisation="Fortinet", common="FortiGate CA", stem="box"
    )
    (folder / "box.conf").write_text(
        f"daemon off; user root; worker_processes 1; pid {folder}/box.pid;\n"
        f"error_log {folder}/box.err;\nevents {{}}\nhttp {{ access_log off; "
        f"ssl_certificate {folder}/box.pem; ssl_certificate_key {folder}/box.key; "
        f"ssl_protocols TLSv1.2 TLSv1.3; server {{ listen {INSPECTED} ssl; "
        'location / { return 200 "ok\\n"; } } }\n'
    )
    lab.start("box", lab.plant.cloud, ["nginx", "-p", str(folder), "-c", str(folder / "box.conf")])
    lab.plant.wait_tcp(lab.plant.cloud, "127.0.0.1", INSPECTED)
    lab.redirect(
        "ip daddr 203.0.113.0/24 tcp dport 443 tcp flags & (syn | ack) == syn "
        f"dnat to 203.0.113.2:{INSPECTED}"
    )


def not_inspected(lab: Lab) -> None:
    lab.open()
    lab.stop("box")


def ask_for_a_lease(lab: Lab) -> None:
    lab.start("dhcp", lab.plant.appliance, [
        *("busybox", "udhcpc", "-f", "-i", "eth1", "-s", "/bin/true"),
        *("-t", "4", "-T", "1", "-A", "2"),
    ])  # fmt: skip


def lease_server_dead(lab: Lab) -> None:
    lab.firewall("udp dport 67 drop", "input")
    ask_for_a_lease(lab)


def lease_refused(lab: Lab) -> None:
    """The server no longer knows the address that it gave, and has no other."""
    lab.plant.serve_names(leases=f"{CLOUD_NET}.0,static")
    lab.running["dhcp"].send_signal(signal.SIGUSR1)  # renew


def leases_again(lab: Lab) -> None:
    lab.plant.serve_names()


def rogue(lab: Lab) -> None:
    """A home router is plugged in; it is quicker than the site's own server."""
    conf = lab.plant.folder / "udhcpd.conf"
    (lab.plant.folder / "rogue.leases").touch()
    conf.write_text(
        "start 192.168.178.20\nend 192.168.178.40\ninterface eth0\n"
        f"lease_file {lab.plant.folder}/rogue.leases\npidfile {lab.plant.folder}/rogue.pid\n"
        "option subnet 255.255.255.0\noption router 192.168.178.1\noption dns 192.168.178.1\n"
    )
    lab.stranger.run(["ip", "address", "add", "192.168.178.1/24", "dev", "eth0"])
    lab.start("rogue", lab.stranger, ["busybox", "udhcpd", "-f", str(conf)])
    lab.stop("dhcp")
    ask_for_a_lease(lab)


def no_rogue(lab: Lab) -> None:
    """It is gone; devices ask for leases now and then."""
    lab.stop("rogue")
    lab.stop("dhcp")
    lab.start("dhcp", lab.plant.appliance, [
        "sh", "-c", "while :; do busybox udhcpc -i eth1 -n -q -s /bin/true; sleep 2; done",
    ])  # fmt: skip


def route(lab: Lab, gateway: str) -> None:
    lab.plant.appliance.run(["ip", "route", "replace", "default", "via", gateway])


def twin(lab: Lab) -> None:
    """A machine is given the appliance's address, and says so, as kernels do."""
    lab.stranger.run(["ip", "address", "add", f"{APPLIANCE}/24", "dev", "eth0"])
    lab.start("twin", lab.stranger, ["busybox", "arping", "-U", "-I", "eth0", APPLIANCE])


def no_twin(lab: Lab) -> None:
    lab.stop("twin")
    lab.stranger.run(["ip", "address", "delete", f"{APPLIANCE}/24", "dev", "eth0"])


def time_is_wrong(lab: Lab) -> None:
    lab.python("time", lab.plant.router, "time_peer.py", f"{CLOUD_NET}.1", "12300", "10800")
    lab.redirect("udp dport 123 redirect to :12300")


def time_is_right(lab: Lab) -> None:
    lab.open()
    lab.stop("time")


def only(host: str, verb: str) -> Callable[[Lab], None]:
    """The firewall does that to new connections to one endpoint."""
    return lambda lab: lab.firewall(f"ip daddr {CLOUD[host]} tcp dport 443 {verb}")


def cable(state: str) -> Callable[[Lab], None]:
    return lambda lab: lab.plant.cloudsw.run(["ip", "link", "set", "app1", state]) and None


PROHIBITED = "reject with icmpx type admin-prohibited"
CLOUD_FAULTS = (
    Fault("one endpoint dropped", ("tcp-blocked",), only(LOGS, "drop")),
    Fault("one endpoint reset", ("tcp-refused",), only(MONITORING, "reject with tcp reset")),
    Fault("one endpoint rejected", ("icmp-blocked",), only(S3, PROHIBITED)),
    Fault("TLS inspected", ("tls-intercepted",), inspected, not_inspected),
    Fault(
        "large packets lost", ("tls-stalled",),
        lambda lab: lab.firewall("meta l4proto tcp ip length > 1400 drop"),
    ),
)  # fmt: skip
SERVICE_FAULTS = (
    Fault(
        "resolver dead", ("dns-timeout",),
        lambda lab: lab.firewall("udp dport 53 drop", "input"),
    ),
    Fault(
        "name denied", ("dns-nxdomain",),
        lambda lab: lab.plant.serve_names(without=(LOGS,)), leases_again,
    ),
    Fault(
        "name leads nowhere", ("dns-sinkhole",),
        lambda lab: lab.plant.serve_names(nowhere=(MONITORING,)), leases_again,
    ),
    Fault("leases dead", ("dhcp-no-offer",), lease_server_dead),
    Fault("lease refused", ("dhcp-nak",), lease_refused, leases_again),
    Fault("second lease server", ("dhcp-rogue",), rogue, no_rogue),
    Fault("time dead", ("ntp-silent",), lambda lab: lab.firewall("udp dport 123 drop", "input")),
    Fault("time wrong", ("clock-off",), time_is_wrong, time_is_right),
    # last: what a single endpoint failed with before would hang below it
    Fault("internet dropped", ("internet-down",), lambda lab: lab.firewall("drop")),
)  # fmt: skip
WIRE_FAULTS = (
    Fault("cable pulled", ("port-silent",), cable("down"), cable("up")),
    Fault(
        "gateway wrong", ("wrong-gateway",),
        lambda lab: route(lab, f"{CLOUD_NET}.254"), lambda lab: route(lab, f"{CLOUD_NET}.1"),
    ),
    Fault("address twice", ("ip-conflict",), twin, no_twin, clears=False),
)  # fmt: skip

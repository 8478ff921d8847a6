"""The lab's plant: an appliance with two ports, cameras, switches, a router, a cloud, a mirror.

    cam1 cam2 ...            appliance                 cloud (TLS, MQTT under the AWS names)
       |   |               eth0 |  | eth1                |
       camsw (bridge) -----------  ------ cloudsw (bridge) -- router (nftables, DNS, DHCP, NTP)
         | copy of the appliance's port     | copy                |
         +-------------- probe mir0   mir1 -+          camsw -----+ (the cameras' gateway)

Everything lives in network namespaces with unique names; all public addresses are documentation
ranges; nothing leaves. Faults are made in the middle (the switches and the router), so that a
capture at the probe sees what a technician's would.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.lab.certificates import make_certificates
from tests.lab.netns import Namespace, end, veth

HERE = Path(__file__).parent
SYSTEM_PYTHON = "/usr/bin/python3"  # has Debian's GStreamer bindings

REGION = "us-east-1"
IOT = f"a1b2c3d4e5f6g7-ats.iot.{REGION}.amazonaws.com"
CLOUD: dict[str, str] = {
    IOT: "203.0.113.10",
    f"c1.credentials.iot.{REGION}.amazonaws.com": "203.0.113.11",
    f"iot.{REGION}.amazonaws.com": "203.0.113.12",
    f"monitoring.{REGION}.amazonaws.com": "203.0.113.13",
    f"logs.{REGION}.amazonaws.com": "203.0.113.14",
    f"s3.{REGION}.amazonaws.com": "203.0.113.15",
    f"panorama-artifacts.s3-accesspoint.{REGION}.amazonaws.com": "203.0.113.16",
    f"api.ecr.{REGION}.amazonaws.com": "203.0.113.17",
    f"123456789012.dkr.ecr.{REGION}.amazonaws.com": "203.0.113.18",
    f"dynamodb.{REGION}.amazonaws.com": "203.0.113.19",
}
VENDOR = ("p2p.vendor.example", "203.0.113.99")
LOGS = f"logs.{REGION}.amazonaws.com"
POLLED = [name for name in CLOUD if name != IOT]

CAMERA_NET = "10.20.0"
CLOUD_NET = "192.168.5"
NEIGHBOUR = f"{CLOUD_NET}.77"  # an office machine: no business of the appliance
APPLIANCE_MACS = {"eth0": "02:00:00:00:00:10", "eth1": "02:00:00:00:00:11"}

SITE = f"""\
[site]
name = "plant-7"
topology = "dual"
region = "{REGION}"
vantage = "mirror"

[ports.eth0]
role = "camera"
mac = "{APPLIANCE_MACS["eth0"]}"
address = "{CAMERA_NET}.5/24"
interface = "mir0"

[ports.eth1]
role = "cloud"
mac = "{APPLIANCE_MACS["eth1"]}"
address = "{CLOUD_NET}.5/24"
interface = "mir1"

[network]
local = ["{CAMERA_NET}.0/24", "{CLOUD_NET}.0/24"]
gateways = ["{CLOUD_NET}.1", "{CAMERA_NET}.1"]
dns = ["{CLOUD_NET}.1"]
ntp = ["{CLOUD_NET}.1"]

[[camera]]
name = "dock"
address = "{CAMERA_NET}.11"
url = "rtsp://{CAMERA_NET}.11/stream1"
fps = 25

[[camera]]
name = "gate"
address = "{CAMERA_NET}.12"
url = "rtsp://{CAMERA_NET}.12/stream1"
fps = 15

[[service]]
name = "my-app-dynamodb"
host = "dynamodb.{REGION}.amazonaws.com"
port = 443
direction = "out"
"""


@dataclass
class CameraSpec:
    """One camera: its place in the lab and what its encoder makes."""

    name: str
    address: str
    mac: str
    width: int = 640
    height: int = 360
    fps: int = 15
    kbps: int = 800
    gop: int = 30
    options: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"rtsp://{self.address}/stream1"


def default_cameras() -> list[CameraSpec]:
    return [
        CameraSpec("dock", f"{CAMERA_NET}.11", "02:00:00:00:01:11", 1280, 720, 25, 2000, 50),
        CameraSpec("gate", f"{CAMERA_NET}.12", "02:00:00:00:01:12", 640, 360, 15, 700, 30),
    ]


def wait_for(process: subprocess.Popen[str], word: str, timeout_s: float = 90.0) -> None:
    """Read the process's stdout until a line contains `word`; RuntimeError when it ends first."""
    assert process.stdout is not None
    deadline = time.monotonic() + timeout_s
    seen = []
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        if not line:
            break
        seen.append(line)
        if word in line:
            return
    raise RuntimeError(f"{process.args!r} never said {word!r}: {''.join(seen)[-800:]}")


class Plant:
    """Build with `with Plant() as plant:`; everything is taken down at the end, also on failure."""

    def __init__(self, cameras: list[CameraSpec] | None = None, *, dhcp: bool = True) -> None:
        self.specs = default_cameras() if cameras is None else cameras
        self.dhcp = dhcp
        self._stack = ExitStack()
        self.cameras: dict[str, subprocess.Popen[str]] = {}
        self.readers: dict[str, subprocess.Popen[str]] = {}
        self._names: list[subprocess.Popen[Any]] = []
        self.folder = Path()

    # ------------------------------------------------------------------ life
    def __enter__(self) -> Plant:
        try:
            self._build()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _namespace(self, prefix: str) -> Namespace:
        return self._stack.enter_context(Namespace(prefix))

    def _build(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="panotui-lab-"))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        os.chmod(self.folder, 0o755)
        self.appliance = self._namespace("app")
        self.camsw = self._namespace("camsw")
        self.cloudsw = self._namespace("clsw")
        self.router = self._namespace("rtr")
        self.cloud = self._namespace("cloud")
        self.probe = self._namespace("probe")
        self.camera_ns = {spec.name: self._namespace("cam") for spec in self.specs}
        # `ip netns exec` gives the namespace this resolver; removed with the lab
        resolver = Path("/etc/netns") / self.appliance.name
        resolver.mkdir(parents=True)
        self._stack.callback(shutil.rmtree, resolver, ignore_errors=True)
        (resolver / "resolv.conf").write_text(
            f"nameserver {CLOUD_NET}.1\noptions timeout:2 attempts:2\n"
        )
        self._links()
        self._mirror()
        self._services()

    def _address(
        self, ns: Namespace, device: str, address: str | None, mac: str | None = None
    ) -> None:
        # no IPv6 chatter: what the lab sends is what a test asked for
        ns.run(["sysctl", "-qw", f"net.ipv6.conf.{device}.disable_ipv6=1"])
        if mac:
            ns.run(["ip", "link", "set", device, "address", mac])
        if address:
            ns.run(["ip", "address", "add", address, "dev", device])
        ns.run(["ip", "link", "set", device, "up"])

    def _bridge(self, ns: Namespace, devices: list[str]) -> None:
        ns.run(["ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0"])
        for device in ["br0", *devices]:
            self._address(ns, device, None)
            if device != "br0":
                ns.run(["ip", "link", "set", device, "master", "br0"])

    def _links(self) -> None:
        veth(self.appliance, self.camsw, "eth0", "app0")
        veth(self.appliance, self.cloudsw, "eth1", "app1")
        veth(self.router, self.camsw, "cam", "rtr0")
        veth(self.router, self.cloudsw, "lan", "rtr1")
        veth(self.router, self.cloud, "wan", "eth0")
        veth(self.camsw, self.probe, "mir", "mir0")
        veth(self.cloudsw, self.probe, "mir", "mir1")
        for index, spec in enumerate(self.specs, 1):
            veth(self.camera_ns[spec.name], self.camsw, "eth0", f"cam{index}")
        self._bridge(self.camsw, ["app0", "rtr0", *(f"cam{i + 1}" for i in range(len(self.specs)))])
        self._bridge(self.cloudsw, ["app1", "rtr1"])
        for ns in (self.camsw, self.cloudsw):
            self._address(ns, "mir", None)
        for device in ("mir0", "mir1"):
            self._address(self.probe, device, None)
        self._address(self.appliance, "eth0", f"{CAMERA_NET}.5/24", APPLIANCE_MACS["eth0"])
        self._address(self.appliance, "eth1", f"{CLOUD_NET}.5/24", APPLIANCE_MACS["eth1"])
        self.appliance.run(["ip", "route", "add", "default", "via", f"{CLOUD_NET}.1"])
        self._address(self.router, "cam", f"{CAMERA_NET}.1/24", "02:00:00:00:02:01")
        self._address(self.router, "lan", f"{CLOUD_NET}.1/24", "02:00:00:00:02:02")
        self.router.run(["ip", "address", "add", f"{NEIGHBOUR}/24", "dev", "lan"])
        self._address(self.router, "wan", "203.0.113.1/24", "02:00:00:00:02:03")
        self.router.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
        self._address(self.cloud, "eth0", "203.0.113.2/24", "02:00:00:00:03:01")
        for address in [*CLOUD.values(), VENDOR[1]]:
            self.cloud.run(["ip", "address", "add", f"{address}/24", "dev", "eth0"])
        self.cloud.run(["ip", "route", "add", "default", "via", "203.0.113.1"])
        for spec in self.specs:
            ns = self.camera_ns[spec.name]
            self._address(ns, "eth0", f"{spec.address}/24", spec.mac)
            ns.run(["ip", "route", "add", "default", "via", f"{CAMERA_NET}.1"])

    def _mirror(self) -> None:
        # A SPAN session of the appliance's switch ports, both directions, and of the camera
        # network's uplink: one-to-one talk only there, so that no broadcast is copied twice.
        unicast = "ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 "
        for ns, device, only in (
            (self.camsw, "app0", ""),
            (self.camsw, "rtr0", unicast),
            (self.cloudsw, "app1", ""),
        ):
            ns.nft(
                f"table netdev span_{device} {{\n"
                f'  chain from_port {{ type filter hook ingress device "{device}" priority 0;\n'
                f'    {only}dup to "mir"\n  }}\n'
                f'  chain to_port {{ type filter hook egress device "{device}" priority 0;\n'
                f'    {only}dup to "mir"\n  }}\n'
                "}\n"
            )

    def _services(self) -> None:
        make_certificates(self.folder, [*CLOUD, VENDOR[0]])
        self.ca = self.folder / "server-ca.pem"
        self.serve_names()
        (self.folder / "chrony.conf").write_text(
            f"local stratum 3\nallow all\ncmdport 0\nbindaddress {CLOUD_NET}.1\n"
            f"pidfile {self.folder}/chrony.pid\ndriftfile {self.folder}/drift\n"
        )
        self._daemon(
            self.router,
            ["chronyd", "-d", "-x", "-u", "root", "-f", str(self.folder / "chrony.conf")],
        )
        (self.folder / "mosquitto.conf").write_text(
            "per_listener_settings true\nlistener 1883 127.0.0.1\nallow_anonymous true\nuser root\n"
        )
        self._daemon(self.cloud, ["mosquitto", "-c", str(self.folder / "mosquitto.conf")])
        web = "".join(f"listen {a}:443 ssl; " for n, a in CLOUD.items() if n != IOT)
        (self.folder / "nginx.conf").write_text(
            "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n"
            f"daemon off; user root; worker_processes 1; pid {self.folder}/nginx.pid;\n"
            f"error_log {self.folder}/nginx.err;\nevents {{}}\n"
            "stream { server { "
            f"listen {CLOUD[IOT]}:443 ssl; ssl_certificate {self.folder}/server.pem; "
            f"ssl_certificate_key {self.folder}/server.key; ssl_alpn x-amzn-mqtt-ca mqtt; "
            "proxy_pass 127.0.0.1:1883; proxy_timeout 1h; } }\n"
            "http { access_log off; ssl_protocols TLSv1.2 TLSv1.3; "
            f"ssl_certificate {self.folder}/server.pem; "
            f"ssl_certificate_key {self.folder}/server.key; "
            f"server {{ {web} listen {VENDOR[1]}:443 ssl; "
            'location / { return 200 "ok\\n"; } } }\n'
        )
        self._daemon(
            self.cloud, ["nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]
        )
        (self.folder / "site.toml").write_text(SITE)
        self.site_file = self.folder / "site.toml"
        self.wait_tcp(self.appliance, CLOUD[LOGS], 443)
        self.wait_tcp(self.cloud, "127.0.0.1", 1883)

    def serve_names(
        self,
        *,
        without: tuple[str, ...] = (),
        nowhere: tuple[str, ...] = (),
        leases: str = f"{CLOUD_NET}.5,{CLOUD_NET}.20,1h",
    ) -> None:
        """(Re)start the router's names and leases: names that are denied (NXDOMAIN), names that
        lead to 0.0.0.0, and the range of leases (`NET,static` gives and keeps none)."""
        for old in self._names:
            end(old)
        self._names.clear()
        said = {n: a for n, a in [*CLOUD.items(), VENDOR] if n not in (*without, *nowhere)}
        records = "".join(f"host-record={n},{a}\n" for n, a in said.items())
        records += "".join(f"address=/{n}/0.0.0.0\n" for n in nowhere)
        host = "" if "static" in leases else f"dhcp-host={APPLIANCE_MACS['eth1']},{CLOUD_NET}.5\n"
        (self.folder / "leases").unlink(missing_ok=True)
        (self.folder / "dnsmasq.conf").write_text(
            "no-daemon\nno-resolv\nno-hosts\nno-ping\nbind-interfaces\nuser=root\n"
            f"interface=lan\ninterface=cam\npid-file={self.folder}/dnsmasq.pid\n"
            f"dhcp-leasefile={self.folder}/leases\nlog-facility=-\ndhcp-authoritative\n"
            f"dhcp-range={leases}\n{host}"
            f"dhcp-option=option:router,{CLOUD_NET}.1\n"
            f"dhcp-option=option:ntp-server,{CLOUD_NET}.1\n"
            # names it does not know do not exist; AAAA of a known name is an empty answer
            f"local=/amazonaws.com/\nlocal=/vendor.example/\n{records}"
        )
        self._names.append(
            self._daemon(self.router, ["dnsmasq", "-C", str(self.folder / "dnsmasq.conf")])
        )

    def _daemon(self, ns: Namespace, args: list[str]) -> subprocess.Popen[Any]:
        log = (self.folder / f"{args[0]}.log").open("a")
        self._stack.callback(log.close)
        return ns.popen(args, stdout=log, stderr=log)

    def wait_tcp(self, ns: Namespace, address: str, port: int, timeout_s: float = 90.0) -> None:
        """Until something listens there; TimeoutError otherwise."""
        script = (
            "import socket,sys,time\n"
            f"end=time.monotonic()+{timeout_s}\n"
            "while time.monotonic()<end:\n"
            "    try:\n"
            f"        socket.create_connection(({address!r},{port}),1).close(); sys.exit(0)\n"
            "    except OSError: time.sleep(0.05)\n"
            "sys.exit(1)\n"
        )
        done = ns.run([sys.executable, "-c", script], check=False)
        if done.returncode:
            raise TimeoutError(f"nothing listens on {address}:{port}")

    # ------------------------------------------------------------------ what the plant does
    def spec(self, name: str) -> CameraSpec:
        return next(s for s in self.specs if s.name == name)

    def start_camera(self, name: str) -> subprocess.Popen[str]:
        """Start the camera's RTSP server and wait until it listens."""
        spec = self.spec(name)
        process = self.camera_ns[name].popen(
            [
                SYSTEM_PYTHON,
                str(HERE / "camera_server.py"),
                *("--width", str(spec.width), "--height", str(spec.height)),
                *("--fps", str(spec.fps), "--kbps", str(spec.kbps), "--gop", str(spec.gop)),
                *spec.options,
            ],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        wait_for(process, "ready")
        self.cameras[name] = process
        return process

    def refusing_camera(self, name: str, how: str) -> subprocess.Popen[str]:
        """A camera that answers `how` ("453:SETUP", "404", ...) instead of streaming."""
        process = self.camera_ns[name].popen(
            [sys.executable, str(HERE / "refusing_camera.py"), how], stderr=subprocess.DEVNULL
        )
        wait_for(process, "ready")
        self.cameras[name] = process
        return process

    def odd_camera(self, name: str, how: str) -> subprocess.Popen[str]:
        """A scripted camera of our own, see `odd_camera.py`."""
        process = self.camera_ns[name].popen(
            [sys.executable, str(HERE / "odd_camera.py"), how], stderr=subprocess.DEVNULL
        )
        wait_for(process, "ready")
        self.cameras[name] = process
        return process

    def read_camera(
        self,
        name: str,
        transport: str = "udp",
        *,
        credentials: str = "",
        ns: Namespace | None = None,
        path: str = "/stream1",
        scheme: str = "rtsp",
    ) -> subprocess.Popen[str]:
        """The appliance reads the camera (a real RTSP client) until told otherwise."""
        address = self.spec(name).address
        login = f"{credentials}@" if credentials else ""
        process = (ns or self.appliance).popen(
            [
                *("ffmpeg", "-nostdin", "-loglevel", "error", "-rtsp_transport", transport),
                *("-i", f"{scheme}://{login}{address}{path}", "-c", "copy", "-f", "null", "-"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.readers[name] = process
        return process

    def read_with_gstreamer(self, name: str, **properties: str) -> subprocess.Popen[str]:
        """The appliance reads the camera with another client (GStreamer's), which knows SRTP."""
        set_to = " ".join(f"{key}={value}" for key, value in properties.items())
        script = (
            "import gi, time\ngi.require_version('Gst', '1.0')\nfrom gi.repository import Gst\n"
            "Gst.init(None)\n"
            f"line = 'rtspsrc location={self.spec(name).url} {set_to} ! fakesink'\n"
            "Gst.parse_launch(line).set_state(Gst.State.PLAYING)\ntime.sleep(3600)\n"
        )
        return self.appliance.popen(
            [SYSTEM_PYTHON, "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def put_tls_before(self, name: str, port: int = 322) -> None:
        """The camera offers RTSPS: TLS at `port` in front of its RTSP server."""
        ns = self.camera_ns[name]
        conf = self.folder / f"rtsps-{name}.conf"
        conf.write_text(
            "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n"
            f"daemon off; user root; worker_processes 1; pid {self.folder}/rtsps-{name}.pid;\n"
            f"error_log {self.folder}/rtsps.err;\nevents {{}}\n"
            f"stream {{ server {{ listen {port} ssl; ssl_certificate {self.folder}/server.pem; "
            f"ssl_certificate_key {self.folder}/server.key; proxy_pass 127.0.0.1:554; }} }}\n"
        )
        self._daemon(ns, ["nginx", "-p", str(self.folder), "-c", str(conf)])
        self.wait_tcp(ns, "127.0.0.1", port)

    def start_cloud_traffic(
        self, period_s: float = 4.0, hosts: list[str] | None = None
    ) -> subprocess.Popen[str]:
        """The appliance polls its endpoints and holds an MQTT connection; prints `round N`."""
        self.appliance.popen(
            [
                *("mosquitto_sub", "-h", IOT, "-p", "443", "--tls-alpn", "x-amzn-mqtt-ca"),
                *("--cafile", str(self.ca), "-k", "30", "-i", "panorama-1", "-t", "lab"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return self.appliance.popen(
            [
                sys.executable,
                str(HERE / "cloud_client.py"),
                str(self.ca),
                str(period_s),
                f"{CLOUD_NET}.1",
                *(POLLED if hosts is None else hosts),
            ],
            stderr=subprocess.DEVNULL,
        )

    def renew_lease(self) -> None:
        """A whole DHCP exchange on the cloud port; changes nothing on the appliance."""
        self.appliance.run(
            ["busybox", "udhcpc", "-i", "eth1", "-n", "-q", "-s", "/bin/true"], check=False
        )

    def announce_neighbours(self) -> None:
        """LLDP from both switches, so that a person learns which switch port this is."""
        for ns, device in ((self.camsw, "app0"), (self.cloudsw, "app1")):
            socket_path = self.folder / f"{ns.name}.lldp"
            ns.popen(
                ["lldpd", "-d", "-u", str(socket_path), "-I", device],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            name = "switch-cameras" if device == "app0" else "switch-office"
            talk = ["lldpcli", "-u", str(socket_path), "configure"]
            deadline = time.monotonic() + 5
            while ns.run([*talk, "system", "hostname", name], check=False).returncode:
                if time.monotonic() > deadline:
                    raise TimeoutError("lldpd did not start")
                time.sleep(0.05)
            ns.run([*talk, "lldp", "tx-interval", "10"])

    def block(self, address: str, how: str = "drop") -> None:
        """The router's firewall drops (or `reject`s, or `reset`s) TCP to that address."""
        verb = {
            "drop": "drop",
            "reject": "reject with icmpx type admin-prohibited",
            "reset": "reject with tcp reset",
        }[how]
        self.router.nft(
            "table inet block { chain forward { "
            "type filter hook forward priority 0; policy accept; "
            f"ip daddr {address} tcp dport 443 {verb}\n}}\n}}\n"
        )

    def unblock(self) -> None:
        self.router.run(["nft", "delete", "table", "inet", "block"], check=False)

    def lose(self, name: str, per_mille: int) -> None:
        """The camera switch drops that share of the camera's UDP media, counted by nftables."""
        # RTP of payload type 96: version 2 in the first byte, the type in the second
        media = (
            f"ether type ip ip saddr {self.spec(name).address} meta l4proto udp "
            "@th,64,2 2 @th,73,7 96"
        )
        self.camsw.nft(
            "table bridge loss {\n  counter seen { }\n  counter dropped { }\n"
            "  chain f {\n    type filter hook forward priority 0; policy accept;\n"
            f'    {media} counter name "seen"\n'
            f'    {media} numgen random mod 1000 < {per_mille} counter name "dropped" drop\n'
            "  }\n}\n"
        )

    def lost_by_switch(self) -> tuple[int, int]:
        """(media packets seen, dropped) by the switch's own counters."""
        out: list[int] = []
        for counter in ("seen", "dropped"):
            text = self.camsw.run(["nft", "list", "counter", "bridge", "loss", counter]).stdout
            out.append(int(text.split("packets", 1)[1].split()[0]))
        return out[0], out[1]

    def end_loss(self) -> tuple[int, int]:
        """Nothing more is dropped; (media packets seen, dropped) until now."""
        self.camsw.run(["nft", "flush", "chain", "bridge", "loss", "f"])
        return self.lost_by_switch()

    def block_media(self, name: str) -> None:
        """The camera switch drops the camera's UDP media; RTSP itself passes."""
        self.camsw.nft(
            "table bridge media { chain f { type filter hook forward priority 0; policy accept; "
            f"ether type ip ip saddr {self.spec(name).address} ip protocol udp drop\n}}\n}}\n"
        )

    def phone_home(self, name: str, times: int = 1) -> subprocess.CompletedProcess[Any]:
        """The camera itself talks to its vendor's relay on the internet (a stream leak)."""
        script = (
            "import socket,ssl,time\n"
            "context=ssl.create_default_context(); context.check_hostname=False\n"
            "context.verify_mode=ssl.CERT_NONE\n"
            f"for _ in range({times}):\n"
            f"    s=socket.create_connection(({VENDOR[1]!r},443),4)\n"
            f"    t=context.wrap_socket(s,server_hostname={VENDOR[0]!r})\n"
            "    t.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n'); t.recv(4096); t.close()\n"
        )
        return self.camera_ns[name].run([sys.executable, "-c", script])

    def lateral_ssh(self) -> None:
        """The appliance opens a connection to a local host that is no business of its own."""
        self.appliance.run(
            [
                sys.executable,
                "-c",
                "import socket\ntry:\n"
                f"    socket.create_connection(('{NEIGHBOUR}',22),2)\n"
                "except OSError as e: print(e)\n",
            ]
        )

    def capture(self, path: Path, device: str = "mir0") -> subprocess.Popen[str]:
        """tcpdump at the probe, ready when this returns."""
        process = self.probe.popen(
            ["tcpdump", "-i", device, "-U", "-w", str(path), "-B", "8192"],
            stdout=subprocess.DEVNULL,
        )
        assert process.stderr is not None
        while "listening on" not in (line := process.stderr.readline()):
            if not line:
                raise RuntimeError("tcpdump did not start")
        return process

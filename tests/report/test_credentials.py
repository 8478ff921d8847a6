"""No user name, password or answer to a challenge leaves the program: not in JSON, NDJSON, CSV,
reports, a recording's tables or the screen. (Evidence is packets as they were, and says so.)"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from panotui.engine.engine import Engine
from panotui.model import Site
from panotui.recording.recorder import Recorder
from panotui.runtime.pump import Pump
from panotui.sources import open_file
from panotui.views.subjects import detail_of
from tests.diagnosis.wire import Rtsp, Wire
from tests.made_up import CAMERA
from tests.sources import made

USER, WORD = "geheimrat", "xyzzy-42"
BASIC = base64.b64encode(f"{USER}:{WORD}".encode()).decode()
ANSWER, NONCE, OPAQUE = "9f86d081884c7d659a2feaa0c55ad015", "58cc3e11eda05ebd", "f1e2d3c4b5a69788"
SECRETS = (USER, WORD, BASIC, ANSWER, NONCE, OPAQUE)

DIGEST = (
    f'Authorization: Digest username="{USER}", realm="Camera", nonce="{NONCE}", '
    f'uri="rtsp://{USER}:{WORD}@{CAMERA}/stream1", response="{ANSWER}", opaque="{OPAQUE}"\r\n'
)
CHALLENGE = f'WWW-Authenticate: Digest realm="Camera", nonce="{NONCE}", opaque="{OPAQUE}"\r\n'
SDP = (
    f"v=0\r\no={USER} 1 1 IN IP4 0.0.0.0\r\ns=rtsp://{USER}:{WORD}@{CAMERA}/a\r\nt=0 0\r\n"
    f"i=user {USER}\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    f"a=control:rtsp://{USER}:{WORD}@{CAMERA}/stream1/track1\r\n"
)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reader that tells its credentials in every place that a dialogue has for them."""
    wire = Wire()
    rtsp = Rtsp(wire)
    rtsp.flow.open(0.2)
    inside = f"rtsp://{USER}:{WORD}@{CAMERA}/stream1"
    query = f"rtsp://{CAMERA}/stream1?user={USER}&password={WORD}&channel=1"
    base = f"Content-Base: {inside}/\r\n"
    rtsp.say(0.30, "OPTIONS", url=inside)
    rtsp.say(0.32, "DESCRIBE", "401 Unauthorized", says=CHALLENGE, url=inside)
    rtsp.say(0.34, "DESCRIBE", asks=DIGEST, says=base, body=SDP, url=inside)
    rtsp.say(0.36, "DESCRIBE", "404 Not Found", asks=DIGEST, url=query)
    rtsp.say(0.38, "DESCRIBE", "302 Found", asks=DIGEST, says=f"Location: {inside}\r\n", url=query)
    rtsp.say(0.40, "DESCRIBE", asks=f"Authorization: Basic {BASIC}\r\n", body=SDP, url=inside)
    way = "RTP/AVP;unicast;client_port=6000-6001"
    rtsp.say(
        0.42, "SETUP", asks=f"{DIGEST}Transport: {way}\r\n", url=f"{inside}/track1",
        says=f"Transport: {way};server_port=5000-5001\r\nSession: 77\r\n",
    )  # fmt: skip
    told = f"Session: 77\r\nRTP-Info: url={inside}/track1;seq=1\r\n"
    rtsp.say(0.44, "PLAY", asks=f"Session: 77\r\n{DIGEST}", says=told, url=inside)
    rtsp.media(0.6, 3)
    wrong = Rtsp(wire, sport=40_100)
    wrong.flow.open(3.1)
    for at in (3.2, 3.3, 3.4):
        wrong.say(at, "DESCRIBE", "401 Unauthorized", asks=DIGEST, says=CHALLENGE, url=inside)
    web = wire.tcp(("02:00:00:00:00:10", "10.20.0.5", 40_200), (rtsp.mac, CAMERA, 80), 0)
    web.open(3.6)
    web.send(3.65, f"GET /snap.jpg?user={USER}&pwd={WORD} HTTP/1.1\r\nHost: {CAMERA}\r\n"
             f"Authorization: Basic {BASIC}\r\n\r\n".encode())  # fmt: skip
    web.answer(3.7, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    wire.quiet(4, 8)
    path = tmp_path_factory.mktemp("credentials") / "dialogue.pcapng"
    frames = sorted(wire.frames, key=lambda f: f[0])
    path.write_bytes(made.pcapng([made.Frame(f[2], f[0]) for f in frames]))
    assert all(s.encode() in path.read_bytes() for s in SECRETS)
    return path


def run(*args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "panotui", *args], capture_output=True, text=True, check=True
    )
    return done.stdout + done.stderr


def reveals(text: str) -> list[str]:
    return [s for s in SECRETS if s.lower() in text.lower()]


@pytest.mark.parametrize(
    "how", [["analyze", "--json"], ["analyze", "--ndjson"], ["analyze"], ["report", "--markdown"],
            ["report"]]
)  # fmt: skip
def test_no_output_tells_a_credential(capture: Path, how: list[str]) -> None:
    more = ["-o", "-"] if how[0] == "report" else []
    said = run(*how, str(capture), *more)
    assert CAMERA in said
    assert reveals(said) == []


def test_no_table_tells_a_credential(capture: Path, tmp_path: Path) -> None:
    run("analyze", "--csv", str(tmp_path / "out"), str(capture))
    texts = [p.read_text() for p in (tmp_path / "out").iterdir()]
    assert any(CAMERA in text for text in texts)
    assert [reveals(text) for text in texts if reveals(text)] == []


def test_neither_a_recording_nor_a_screen_tells_a_credential(capture: Path, tmp_path: Path) -> None:
    source = open_file(str(capture))
    engine = Engine(Site())
    pump = Pump([source], engine, files=["dialogue"])
    recorder = Recorder(tmp_path / "a.panotui", lossless=True)
    pump.on_tick.append(
        lambda _: recorder.observe(
            engine.snapshot(), engine.drain_changed_flows(1000), engine.drain_events()
        )
    )
    pump.run(0.0)
    source.close()
    recorder.close()
    for part in (tmp_path / "a.panotui").glob("recording.sqlite*"):
        assert reveals(part.read_bytes().decode("latin-1")) == []
    snapshot = engine.snapshot()
    assert reveals(json.dumps([str(r) for r in (snapshot, list(engine.flow_records()))])) == []
    keys = [f"stream:{s.id}" for s in snapshot.streams]
    keys += [f"camera:{c.name}" for c in snapshot.cameras]
    keys += [f"flow:{f.id}" for f in engine.flow_records()]
    shown = [str(detail_of(engine, key, snapshot)) for key in keys]
    assert any("> DESCRIBE" in text for text in shown), "the dialogue is among the proofs"
    assert reveals("".join(shown)) == []
    refused = [f for f in snapshot.findings if f.id == "rtsp-auth"]
    assert refused

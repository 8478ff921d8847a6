"""What people report of cameras that do not open, log in, or stay: the dialogue's faults."""

from __future__ import annotations

from tests.situations.stack import Host
from tests.situations.stack_camera import Play, stream
from tests.situations.stack_day import light, works
from tests.situations.stack_names import look
from tests.situations.stack_noise import mdns, wsd
from tests.situations.stack_tcp import Conn
from tests.situations.visit import visit

SMALL = {"key": 2600, "delta": 420}


def site(seed, end, cams=2, well=(1,), maker=None, **more):
    """A site whose other cameras stream well."""
    s = works(seed, end, cams=cams, streams=False, maker=maker, **more)
    light(s, 0.6, end, which=well)
    return s


def play(s, at, n=0, **more):
    return Play(s, s.cams[n], fps=5.0, **more).play(at)


@visit(
    "rtsp-timeout|rtsp-keepalive",
    says={"*": "20 s|20 seconds"},
    never={"*": "reboot|restarted itself"},
)
def keep_alive_comes_each_30_seconds_and_the_camera_waits_20():
    """SETUP says timeout=20, the reader sends its keep-alive each 30 s: after 20 s the pictures
    stop without a word, 10 s later the reader gives up and begins again. So each time."""
    s = site(301, 100)
    t = 1.0
    for _ in range(3):
        p = play(s, t, timeout=20)
        p.film(p.t + 0.02, t + 20, keep=None, rr=None, **SMALL)
        p.ask("GET_PARAMETER", t + 29.9, session=True, status="454 Session Not Found")
        p.c.fin(t + 30.5)
        t += 33
    return s


@visit("rtsp-timeout|rtsp-keepalive", also=("stream-restart",), never={"*": "reboot"})
def session_without_a_said_timeout_ends_after_a_minute():
    """The answer to SETUP names no timeout; the reader sends no keep-alive; 60 s later the camera
    closes by FIN, and the reader comes back after 1 s."""
    s = site(303, 150, well=())
    t = 1.0
    for _ in range(2):
        p = Play(s, s.cams[0], fps=5.0)
        p.connect(t).describe()
        p.setup(
            1,
            reply=f"Transport: RTP/AVP;unicast;client_port={p.cport}-{p.cport + 1};"
            f"server_port={p.sport}-{p.sport + 1}\r\nSession: {p.session}\r\n",
        )
        p.start()
        p.film(p.t + 0.02, t + 60.2, keep=None, rr=None, **SMALL)
        p.c.fin(t + 60.3, 1)
        t += 62
    light(s, t, 150, which=(0,))
    light(s, 0.6, 150, which=(1,))
    return s


@visit("rtsp-timeout|rtsp-keepalive", never={"*": "reboot"})
def keep_alive_without_its_session_does_not_count():
    """OPTIONS without a Session header are answered 200 each 25 s; the camera ends the session at
    60 s all the same."""
    s = site(304, 140, well=())
    t = 1.0
    for _ in range(2):
        p = play(s, t)
        p.film(p.t + 0.02, t + 60.3, keep="OPTIONS", every=25, sessionless=True, rr=None, **SMALL)
        p.c.fin(t + 60.4, 1)
        t += 63
    return s


@visit("rtsp-error|rtsp-unfinished", says={"*": "SETUP"}, never={"*": "firewall blocks"})
def answer_to_setup_has_no_transport():
    """SETUP is answered 200 without a Transport header; the reader leaves, and tries again each 5
    s."""
    s = site(305, 40)
    for n in range(6):
        p = Play(s, s.cams[0], fps=5.0)
        p.connect(1 + n * 6).describe().setup(1, reply=f"Session: {p.session}\r\n")
        p.c.fin(p.c.t + 0.01)
    return s


@visit("rtsp-auth", cameras={"cam1": ".*(log|auth|password|refus).*"}, never={"*": "locked"})
def update_of_the_camera_turned_its_account_off():
    """Each DESCRIBE with credentials is refused 401 with a new nonce; the reader tries each 12
    s."""
    s = site(307, 60)
    for n in range(5):
        p = Play(s, s.cams[0], fps=5.0)
        p.connect(1 + n * 12).describe("401 Unauthorized")
        p.c.fin(p.c.t + 0.01)
    return s


@visit(cameras={"cam1": "streaming.*"})
def nonce_is_stale_now_and_then_and_the_reader_logs_in_anew():
    """Each keep-alive is answered 401 stale="true" and repeated at once with the new nonce: 200."""
    s = site(308, 60, cams=1, well=())
    p = play(s, 1)
    for n in range(5):
        end = 11.0 + 10 * n
        p.film(p.t + 0.05, end, keep=None, **SMALL)
        p.ask(
            "GET_PARAMETER",
            end + 0.01,
            session=True,
            status="401 Unauthorized",
            reply=p.challenge(True),
        )
        p.nonce = f"{n}0123456789abcde"
        p.ask("GET_PARAMETER", session=True)
        p.t = end
    p.film(p.t + 0.05, 60, keep=None, **SMALL)
    return s


@visit(
    "rtsp-silent|rtsp-error|camera-refused",
    says={"*": "clos|ends|without an answer"},
    never={"*": "password|off or"},
)
def camera_accepts_and_closes_without_a_word():
    """TCP to 554 connects; the camera closes by FIN 5 ms after the first request, without an
    answer, eight times."""
    s = site(309, 50)
    for n in range(8):
        p = Play(s, s.cams[0], fps=5.0)
        p.connect(1 + n * 6).ask("OPTIONS", login=False, answer=False)
        p.c.fin(p.c.t + 0.005, 1)
    return s


@visit("rtsp-silent|rtsp-error|camera-refused", says={"*": "reset"})
def camera_resets_after_the_first_request():
    """TCP to 554 connects; OPTIONS is answered by a reset each time."""
    s = site(310, 50)
    for n in range(8):
        p = Play(s, s.cams[0], fps=5.0)
        p.connect(1 + n * 6).ask("OPTIONS", login=False, answer=False)
        p.c.rst(p.c.t + 0.004, 1)
    return s


@visit("camera-refused", says={"camera-refused": "554"}, never={"*": "firewall"})
def camera_serves_rtsp_on_10554_only():
    """554 refuses each SYN with the camera's own TTL; the camera speaks WS-Discovery and mDNS."""
    s = site(312, 50)
    for n in range(7):
        s.who(0.999 + n * 7, s.eth0, s.cams[0])
        Conn(s, s.eth0, s.cams[0], 554, rtt=0.001).refused(1 + n * 7)
        wsd(s, 3 + n * 7, s.cams[0])
    return s


@visit("rtsp-error", says={"rtsp-error": "459"}, never={"*": "password"})
def play_of_the_whole_is_not_allowed():
    """PLAY is answered 459 Aggregate Operation Not Allowed, each 6 s."""
    s = site(313, 44)
    for n in range(6):
        p = Play(s, s.cams[0], fps=5.0)
        p.connect(1 + n * 7).describe().setup(1)
        p.start(status="459 Aggregate Operation Not Allowed")
        p.c.fin(p.c.t + 0.01)
    return s


@visit("rtsp-error", says={"rtsp-error": "455"}, never={"*": "password"})
def play_is_not_valid_in_this_state():
    """SETUP is fine, PLAY gets 455 each time: the old session still holds the encoder."""
    s = site(314, 44)
    for n in range(6):
        p = Play(s, s.cams[0], fps=5.0)
        p.connect(1 + n * 7).describe().setup(1)
        p.start(status="455 Method Not Valid in This State")
        p.teardown()
    return s


@visit(cameras={"cam1": "streaming.*"}, violations=None)
def camera_redirects_to_another_port_and_is_followed():
    """DESCRIBE on 554 is answered 302 with a Location on port 8554, where all goes well."""
    s = site(315, 40, cams=1, well=())
    p = Play(s, s.cams[0], fps=5.0, auth=None)
    p.connect(1)
    p.ask("OPTIONS", login=False, reply="Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n")
    p.ask(
        "DESCRIBE",
        status="302 Moved Temporarily",
        reply=f"Location: rtsp://{s.cams[0].ip}:8554/live\r\n",
    )
    p.c.fin(p.c.t + 0.01)
    q = Play(s, s.cams[0], fps=5.0, port=8554, auth=None).play(1.1)
    q.film(q.t + 0.02, 40, **SMALL)
    return s


@visit("rtsp-sessions", cleared=("rtsp-sessions",), cameras={"cam1": "streaming.*"})
def reader_crashed_and_its_old_session_holds_the_place():
    """The appliance's program dies without TEARDOWN (its kernel resets); the camera says 453 for
    40 s, then lets it in."""
    s = site(316, 90)
    p = play(s, 1)
    p.film(p.t + 0.02, 12, **SMALL)
    p.c.rst(12.1)
    for n in range(5):
        q = Play(s, s.cams[0], fps=5.0)
        q.connect(15 + n * 8).describe().setup(1, status="453 Not Enough Bandwidth")
        q.c.fin(q.c.t + 0.01)
    q = play(s, 56)
    q.film(q.t + 0.02, 90, **SMALL)
    return s


@visit(
    "rtsp-error|rtsp-sessions|stream-frozen",
    also=("stream-frozen",),
    never={"*": "reboot|password"},
    cameras={"cam2": "streaming.*"},
)
def one_channel_of_the_recorder_has_no_picture():
    """The site's cameras hang on a recorder: channel 1 gives 503 No Signal, channel 2 streams."""
    s = site(317, 44)
    for n in range(5):
        p = Play(s, s.cams[0], path="/unicast/c1/s0/live", fps=5.0)
        p.connect(1 + n * 8).describe("503 No Signal")
        p.c.fin(p.c.t + 0.01)
    return s


def reboot(s, n, at, away):
    """A camera's way up: lease or announcement, noise, then it can be read."""
    cam = s.cams[n]
    for k in range(int(away / 3)):
        s.arp(at + 3 + 3 * k, 1, s.eth0, cam.ip)
    up = at + away
    for k in range(3):
        s.arp(up - 4 + k, 1, cam, cam.ip, says="0.0.0.0")
    s.announce(up - 1, cam)
    mdns(s, up - 0.5, cam, "_rtsp._tcp.local")
    wsd(s, up - 0.3, cam)
    return up


@visit(
    "camera-reboot",
    either=("camera-reboot", "camera-unreachable"),
    also=("camera-unreachable",),
    cameras={"cam1": "streaming.*"},
    severity={"camera-reboot": "warning"},
)
def camera_reboots_by_its_weekly_schedule():
    """At 20 s a camera stops in the middle, is away for 42 s, probes and announces its address,
    and is read again by a new session."""
    s = site(319, 95)
    p = play(s, 1)
    p.film(p.t + 0.02, 20, **SMALL)
    up = reboot(s, 0, 20, 42)
    q = play(s, up + 1.5)
    q.film(q.t + 0.02, 95, **SMALL)
    return s


@visit(
    "camera-reboot",
    says={"camera-reboot": "power|PoE"},
    also=("camera-unreachable",),
    either=("camera-reboot", "camera-unreachable"),
)
def heaters_draw_too_much_and_the_camera_restarts_three_times():
    """Each time the infrared light goes on, the camera loses its power: three restarts in 2
    minutes."""
    s = site(320, 130)
    t = 1.0
    for _ in range(3):
        p = play(s, t)
        p.film(p.t + 0.02, t + 12, **SMALL)
        t = reboot(s, 0, t + 12, 27) + 1.5
    p = play(s, t)
    p.film(p.t + 0.02, 130, **SMALL)
    return s


@visit(
    "camera-unreachable",
    says={"camera-unreachable": "gateway"},
    also=("gateway-silent", "neighbour-silent"),
)
def camera_behind_a_router_has_a_wrong_gateway():
    """The mirror sees the cameras' network, the appliance is in another: the router brings its
    SYNs to the camera, which asks by ARP for a gateway that nobody has, and so never answers."""
    s = works(321, 50, topology="single", cams=0)
    cam = Host("4c:bd:8f:10:20:30", "10.77.4.20", "embedded", name="cam1")
    inner = Host("00:09:0f:0c:0d:0e", "10.77.4.1", "router", 64)
    me = Host(inner.mac, s.eth0.ip, "linux", 63)
    other = Host("4c:bd:8f:10:20:31", "10.77.4.21", "embedded", name="cam2")
    s.cams = [cam, other]
    for n in range(6):
        s.who(1 + n * 7, inner, cam)
        Conn(s, me, cam, 554, rtt=0.001).knock(1.01 + n * 7, (0, 1.02, 3.04))
        for k in range(3):
            s.arp(1.02 + n * 7 + k, 1, cam, "10.77.4.254")
    s.who(0.9, inner, other)
    back = Host(other.mac, other.ip, "embedded", name="cam2")
    s.eth0b = me
    stream(s, back, 1, 50, arp=False, reader=me, fps=5.0, **SMALL)
    return s


@visit(
    "rtsp-lockout|rtsp-auth",
    also=("rtsp-auth",),
    says={"*": "lock|password"},
    never={"*": "reboot"},
)
def five_wrong_passwords_and_the_camera_says_403_illegal_login():
    """A Hikvision camera answers five logins 401, then each with 403 for the lock's half hour."""
    s = site(324, 80, maker="hikvision")
    for n in range(9):
        p = Play(s, s.cams[0], fps=5.0, path="/Streaming/Channels/101", server="hikvision")
        p.connect(1 + n * 8).describe("401 Unauthorized" if n < 5 else "403 Forbidden")
        p.c.fin(p.c.t + 0.01)
    return s


@visit("rtsp-sessions", says={"rtsp-sessions": r"\d"}, cameras={"cam1": ".*"})
def recorder_came_back_first_and_took_the_last_session():
    """Camera and recorder restart; the recorder gets its three streams, the appliance gets 453."""
    s = site(325, 60)
    nvr = Host("00:1d:9c:22:33:44", s.camnet + "150", name="nvr")
    for n in range(3):
        stream(s, s.cams[0], 2 + n * 0.3, 40, reader=nvr, fps=2.0, path=f"/live{n}", **SMALL)
    for n in range(6):
        p = Play(s, s.cams[0], fps=5.0)
        p.connect(4 + n * 9).describe().setup(1, status="453 Not Enough Bandwidth")
        p.c.fin(p.c.t + 0.01)
    return s


@visit(
    "camera-phones-home|stream-leak",
    violations=None,
    never={"*": "the appliance (calls|contacts)"},
    cameras={"cam1": "streaming.*"},
    also=("camera-phones-home", "stream-leak"),
)
def camera_calls_its_makers_relay_and_the_firewall_drops_it():
    """The camera asks for the maker's relay by name, sends SYNs and UDP to it each 20 s, and
    nothing answers; the appliance reads it well."""
    s = works(326, 60)
    cam = s.cams[0]
    relay = s.far("47.88.59.64", router=s.camrouter)
    for n in range(3):
        t = 3 + 20 * n
        look(
            s,
            t,
            "dev.eu.hik-example.com",
            ips=[relay.ip],
            who=cam,
            server=s.camrouter,
            style="glibc",
            kinds=(1,),
        )
        Conn(s, cam, relay, 8800, rtt=0.1).knock(t + 0.1, (0, 1.02, 3.04))
        for k in range(3):
            s.udp(t + 5 + k, cam, 41234, relay, 8000, bytes(28))
    return s


@visit("camera-unreachable", says={"camera-unreachable": "ARP"}, cameras={"cam2": "streaming.*"})
def camera_lost_its_lease_and_took_its_factory_address():
    """After a restart no lease came: the camera announces 192.168.1.64 on the wire; the appliance
    asks for the old address in vain."""
    s = site(327, 60, plan="10")
    p = play(s, 1)
    p.film(p.t + 0.02, 10, **SMALL)
    lost = s.cams[0].at("192.168.1.64")
    s.announce(32, lost)
    wsd(s, 33, lost)
    for n in range(4):
        s.announce(34 + 6 * n, lost)
    for n in range(24):
        s.arp(13 + 2 * n, 1, s.eth0, s.cams[0].ip)
    return s


@visit("rtsp-error|rtsp-not-found|rtsp-silent", says={"*": "400"})
def camera_dislikes_the_slash_before_the_track():
    """DESCRIBE is fine; SETUP of url//trackID=1 is answered 400 Bad Request each time."""
    s = site(328, 44)
    for n in range(5):
        p = Play(s, s.cams[0], fps=5.0, path="/cam/")
        p.connect(1 + n * 8).describe().setup(1, status="400 Bad Request")
        p.c.fin(p.c.t + 0.01)
    return s


@visit("rtsp-transport", says={"rtsp-transport": "461"}, cameras={"cam2": "streaming.*"})
def camera_wants_tcp_and_the_reader_only_udp():
    """SETUP over UDP gets 461; the reader never tries TCP."""
    s = site(329, 44)
    for n in range(5):
        p = Play(s, s.cams[0], fps=5.0)
        p.connect(1 + n * 8).describe().setup(1, status="461 Unsupported Transport")
        p.c.fin(p.c.t + 0.01)
    return s


@visit(
    "camera-unreachable",
    says={"camera-unreachable": "SYN"},
    never={"*": "Check the camera.s power"},
)
def cameras_web_server_lives_and_rtsp_does_not_answer():
    """ARP and ping are answered, SYNs to 554 are dropped by the camera's own filter of
    addresses."""
    s = site(330, 60)
    for n in range(5):
        s.who(1 + n * 9, s.eth0, s.cams[0])
        Conn(s, s.eth0, s.cams[0], 554, rtt=0.001).knock(1.01 + n * 9, (0, 1.02, 3.04))
        s.icmp(2 + n * 9, s.campc, s.cams[0], 8, 0, body=bytes(32))
        s.icmp(2.001 + n * 9, s.cams[0], s.campc, 0, 0, body=bytes(32))
    return s

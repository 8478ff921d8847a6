#!/usr/bin/python3
"""A camera for the lab: GStreamer's RTSP server with a real H.264 encoder behind it.

Runs under the system's Python (the `gi` bindings are Debian's). Prints `ready` when it listens.
Reads one command a line on stdin: `change WIDTH HEIGHT FPS` (while it streams), `quit`.
"""

import argparse
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("--port", default="554")
parser.add_argument("--path", default="/stream1")
parser.add_argument("--width", type=int, default=640)
parser.add_argument("--height", type=int, default=360)
parser.add_argument("--fps", type=int, default=15)
parser.add_argument("--kbps", type=int, default=800)
parser.add_argument("--gop", type=int, default=30, help="frames between key frames")
parser.add_argument("--pattern", default="snow", help="snow fills the bit-rate asked for")
parser.add_argument("--codec", default="h264", choices=["h264", "h265", "mjpeg"])
parser.add_argument("--audio", choices=["pcma", "aac"])
parser.add_argument("--secure", action="store_true", help="SRTP, with its keys in the SDP")
parser.add_argument("--user")
parser.add_argument("--password")
parser.add_argument("--basic", action="store_true")
parser.add_argument("--tcp-only", action="store_true", help="answer 461 to a SETUP over UDP")
parser.add_argument("--multicast", help="stream to this group only")
parser.add_argument("--session-timeout", type=int, default=60)
args = parser.parse_args()

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_service(args.port)
server.set_address("0.0.0.0")


def raw_video(width: str, height: str, fps: str) -> str:
    return f"video/x-raw,format=I420,width={width},height={height},framerate={fps}/1"


caps = raw_video(args.width, args.height, args.fps)
source = f"videotestsrc is-live=true pattern={args.pattern} ! capsfilter name=size caps={caps}"
if args.codec == "h264":
    video = (
        f"{source} ! x264enc name=enc tune=zerolatency speed-preset=ultrafast bitrate={args.kbps} "
        f"key-int-max={args.gop} ! h264parse config-interval=-1 "
        "! rtph264pay name=pay0 pt=96"
    )
elif args.codec == "h265":
    video = (
        f"{source} ! x265enc tune=zerolatency speed-preset=ultrafast bitrate={args.kbps} "
        f"key-int-max={args.gop} ! h265parse config-interval=-1 ! rtph265pay name=pay0 pt=96"
    )
else:
    video = f"{source} ! jpegenc ! rtpjpegpay name=pay0"
audio = ""
sound = "audiotestsrc is-live=true wave=ticks"
if args.audio == "pcma":
    audio = f" {sound} ! alawenc ! rtppcmapay name=pay1"
elif args.audio == "aac":
    audio = (
        f" {sound} ! audio/x-raw,rate=16000,channels=1 ! voaacenc bitrate=32000 ! aacparse "
        "! rtpmp4gpay name=pay1 pt=97"
    )

factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(f"( {video}{audio} )")
factory.set_shared(True)
if args.secure:
    factory.set_profiles(GstRtsp.RTSPProfile.SAVP)
if args.tcp_only:
    factory.set_protocols(GstRtsp.RTSPLowerTrans.TCP)
if args.multicast:
    pool = GstRtspServer.RTSPAddressPool()
    pool.add_range(args.multicast, args.multicast, 5000, 5010, 4)
    factory.set_address_pool(pool)
    factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP_MCAST)

if args.user:
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth = GstRtspServer.RTSPAuth()
    if args.basic:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(args.user, args.password), token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(args.user, args.password, token)
    server.set_auth(auth)
    role = Gst.Structure.new_from_string(
        "user, media.factory.access=(boolean)true, media.factory.construct=(boolean)true;"
    )
    factory.add_role_from_structure(role[0] if isinstance(role, tuple) else role)

running = []
factory.connect("media-configure", lambda _, media: running.append(media.get_element()))
server.get_mount_points().add_factory(args.path, factory)
server.attach(None)
loop = GLib.MainLoop()


def quit_at_end_of_input() -> None:
    for line in sys.stdin:
        word, *values = line.split()
        if word == "quit":
            break
        if word == "change" and running:
            size = Gst.caps_from_string(raw_video(*values))
            running[-1].get_by_name("size").set_property("caps", size)
    GLib.idle_add(loop.quit)


threading.Thread(target=quit_at_end_of_input, daemon=True).start()
print("ready", flush=True)
loop.run()

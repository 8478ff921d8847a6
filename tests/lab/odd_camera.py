"""A scripted RTSP camera of our own, for what real servers cannot be made to do.

`python odd_camera.py HOW [PORT]`; prints `ready` when it listens, `ended` when it ends a session.
It streams 25 pictures a second of H.264 (made up, never to be decoded) over UDP. HOW:

    strange-type    the video is payload type 35, as the SDP says
    wrong-port      SETUP is answered with client port 8000, and the media go there
    deaf-keepalive  keep-alives are answered 400, and the session ends 6 s after PLAY
    silent          requests are taken and never answered
    error           DESCRIBE is answered 500
    cut             the connection is closed in place of an answer to DESCRIBE
    redirect        DESCRIBE is answered 302, with the very URL that was asked
    nothing         PLAY is answered, and nothing comes, over UDP or inside the connection
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import sys

TIMEOUT_S = 6
RATE = 25
SDP = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=Odd camera\r\nt=0 0\r\na=control:*\r\n"
    "m=video 0 RTP/AVP {type}\r\na=rtpmap:{type} H264/90000\r\n"
    "a=fmtp:{type} packetization-mode=1;sprop-parameter-sets=Z00AKp2oHgCJ+WbgICAgQA==,aO48gA==\r\n"
    "a=control:track1\r\n"
)


class Camera:
    """One connection."""

    def __init__(self, how: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.how, self.reader, self.writer = how, reader, writer
        self.type = 35 if how == "strange-type" else 96
        self.target: tuple[str, int] | None = None
        self.tasks: list[asyncio.Task[None]] = []

    async def serve(self) -> None:
        try:
            while True:
                head = (await self.reader.readuntil(b"\r\n\r\n")).decode("ascii", "replace")
                if self.how == "cut" and head.startswith("DESCRIBE"):
                    break
                if self.how == "redirect":
                    await asyncio.sleep(0.2)  # readers follow at once, without end
                if self.how != "silent":
                    self.answer(head)
                    await self.writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for task in self.tasks:
                task.cancel()
            self.writer.close()

    def answer(self, head: str) -> None:
        method = head.split(" ", 1)[0]
        found = re.search(r"(?im)^CSeq: *(\d+)", head)
        lines = [f"CSeq: {found.group(1) if found else 0}", "Session: 4242;timeout=6"]
        status, body = "200 OK", ""
        if method == "OPTIONS" and not self.tasks:
            lines[1] = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN"
        elif method == "DESCRIBE" and self.how == "error":
            status = "500 Internal Server Error"
        elif method == "DESCRIBE" and self.how == "redirect":
            status = "302 Moved Temporarily"
            lines[1] = f"Location: {head.split(' ')[1]}"
        elif method == "DESCRIBE":
            body = SDP.replace("{type}", str(self.type))
            lines[1:] = ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        elif method == "SETUP":
            lines.append(f"Transport: {self.set_up(head)}")
        elif method == "PLAY" and self.how != "nothing":
            self.tasks.append(asyncio.create_task(self.stream()))
            if self.how == "deaf-keepalive":
                self.tasks.append(asyncio.create_task(self.end()))
        elif self.how == "deaf-keepalive" and method != "TEARDOWN":
            status = "400 Bad Request"
        answer = f"RTSP/1.0 {status}\r\n" + "\r\n".join(lines) + f"\r\n\r\n{body}"
        self.writer.write(answer.encode())

    def set_up(self, head: str) -> str:
        if "interleaved" in head:
            return "RTP/AVP/TCP;unicast;interleaved=0-1"
        found = re.search(r"client_port=(\d+)", head)
        port = 8000 if self.how == "wrong-port" else int(found.group(1)) if found else 0
        self.target = (self.writer.get_extra_info("peername")[0], port)
        return f"RTP/AVP;unicast;client_port={port}-{port + 1};server_port=5000-5001"

    async def end(self) -> None:
        await asyncio.sleep(TIMEOUT_S)
        self.writer.close()
        print("ended", flush=True)

    async def stream(self) -> None:
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sender.bind(("0.0.0.0", 5000))
        loop = asyncio.get_running_loop()
        began, sequence, picture = loop.time(), 1, 0
        with sender:
            while True:
                kind = 0x65 if picture % RATE == 0 else 0x41
                header = struct.pack(
                    "!BBHII", 0x80, 0x80 | self.type, sequence & 0xFFFF, picture * 90_000 // RATE,
                    0x0DDC_A001,
                )  # fmt: skip
                try:
                    sender.sendto(header + bytes([kind]) + bytes(600), self.target or ("", 0))
                except OSError:
                    pass  # the reader's port is closed, which is one of the scenes
                sequence, picture = sequence + 1, picture + 1
                await asyncio.sleep(max(0.0, began + picture / RATE - loop.time()))


async def main(how: str, port: int) -> None:
    server = await asyncio.start_server(lambda r, w: Camera(how, r, w).serve(), "0.0.0.0", port)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if sys.argv[2:] else 554))

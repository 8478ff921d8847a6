"""An RTSP server that refuses in one chosen way, for what GStreamer's server cannot be made to do.

`python refusing_camera.py STATUS[:METHOD]` answers that method (default DESCRIBE) with STATUS and
everything else with 200; `close` instead of a status closes the connection after DESCRIBE.
"""

from __future__ import annotations

import asyncio
import re
import sys

REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    453: "Not Enough Bandwidth",
    461: "Unsupported Transport",
    503: "Service Unavailable",
}
SDP = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=Lab camera\r\nt=0 0\r\na=control:*\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"
)


async def serve(status: int, method: str, port: int) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii", "replace")
                verb = head.split(" ", 1)[0]
                found = re.search(r"(?im)^CSeq: *(\d+)", head)
                cseq = found.group(1) if found else "0"
                lines = [f"CSeq: {cseq}", "Server: Lab RTSP"]
                body = ""
                code = 200
                if verb == method:
                    code = status
                    if status == 401:
                        lines.append('WWW-Authenticate: Digest realm="lab", nonce="0123456789"')
                elif verb == "DESCRIBE":
                    body = SDP
                    lines += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
                elif verb == "OPTIONS":
                    lines.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
                elif verb == "SETUP":
                    transport = re.search(r"(?im)^Transport: *(.+?)\r?$", head)
                    lines += [
                        f"Transport: {transport.group(1) if transport else 'RTP/AVP'}",
                        "Session: 12345678;timeout=60",
                    ]
                answer = f"RTSP/1.0 {code} {REASONS.get(code, 'OK')}\r\n"
                writer.write((answer + "\r\n".join(lines) + "\r\n\r\n" + body).encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "0.0.0.0", port)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    wanted, _, verb = sys.argv[1].partition(":")
    asyncio.run(serve(int(wanted), verb or "DESCRIBE", int(sys.argv[2]) if sys.argv[2:] else 554))

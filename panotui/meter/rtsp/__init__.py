"""RTSP connections: text, interleaved frames, negotiated tracks."""

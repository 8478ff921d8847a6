"""RTSP connections: text, interleaved frames, what was set up."""

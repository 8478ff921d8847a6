"""Frames between a collector and its screens: codec, server, client, the collector's loop."""

"""Cameras as people met them: a scene each, with what is true of it on the wire."""

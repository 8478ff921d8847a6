"""The folder of a recording: writing, roll-up, reading."""

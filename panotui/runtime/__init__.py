"""Runs meters and the engine in one process or in several, live and over files."""

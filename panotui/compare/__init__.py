"""Two captures of the same traffic at two places: what was lost, delayed or changed between them.

`table` reads a capture into columns, `matching` finds the same packet in both, `clocks` sets their
clocks side by side, `comparison` counts by stream and flow, `words` says it. Nothing of it runs
live; the packets of both captures are held in memory as 44 bytes each.
"""

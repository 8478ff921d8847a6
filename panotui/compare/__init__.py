"""Two captures of the same traffic at two places: losses, delays and changes between them.

`table` reads a capture into columns, `matching` finds the same packet in both, `clocks` measures
the offset of their clocks, `comparison` counts by stream and flow, `words` writes the sentences.
Nothing of this runs live; the packets of both captures are held in memory as 44 bytes each.
"""

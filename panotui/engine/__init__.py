"""The engine, sole owner of a site's state: deltas and messages in, snapshots and events out."""

"""The engine: the only owner of a site's state. Deltas and messages in, snapshots and events out."""

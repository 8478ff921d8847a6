"""Output as lines: alerts, Zeek's conn.log, EVE."""

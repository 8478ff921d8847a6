"""TCP quality: retransmissions, losses, round trips."""

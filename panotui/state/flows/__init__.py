"""Storage and display of flows, by column."""

"""The flow table: five-tuples to slots, counters, clients, ends."""

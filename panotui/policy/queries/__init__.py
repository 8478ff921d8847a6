"""Queries about a policy, without traffic or afterwards."""

"""What people ask of a policy without traffic, or afterwards."""

"""What a site is: its file, the roles of its hosts, and their names."""

"""What a site is: its file, who is who in it, what its hosts are called."""

"""Active checks: the only packets that the program ever sends."""

"""The screen: frames in, keys out."""

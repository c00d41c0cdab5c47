"""Camera, encode, decode and sinks, side by side."""

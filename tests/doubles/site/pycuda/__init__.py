"""See ../tensorrt: the double, under the real name."""

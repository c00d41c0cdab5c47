"""ONNX graphs to LiteRT files: same numbers in, same numbers out, nothing calibrated twice."""

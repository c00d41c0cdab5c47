"""Detectors: weights in ONNX to bundles of their own, for object-aware everything mode."""

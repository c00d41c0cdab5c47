"""Instances: what a one-shot segmenter (FastSAM) finds in a picture, and which of it is meant."""

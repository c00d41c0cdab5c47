"""Engines run by TensorRT on NVIDIA GPUs; docs/tensorrt.md tells how, and what has met a GPU.

| file | its one job |
|---|---|
| `vendor.py` | import tensorrt and pycuda, join their log with ours |
| `api.py` | what differs between TensorRT 8.5 and 11 |
| `gpu.py` | the GPU's facts, and its context around a block |
| `profiles.py` | how long free axes may get |
| `plans.py` | the cache of plans: keys, locks, verdicts |
| `build.py` | ONNX to a plan |
| `memory.py` | device and page-locked host memory of an engine |
| `engine.py` | the backend: a plan that runs |
| `setup.py` | a bundle's plans: are they there, make them, judge them |
"""

"""The double, under the real name: this folder goes on a test's path. See tests/doubles/nvidia."""

import os

from tests.doubles.nvidia.trt import make

globals().update(make(os.environ.get("TENSORRT_DOUBLE", "10.3.0")))

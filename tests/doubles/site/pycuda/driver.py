"""The double of pycuda's driver interface, under its real name."""

from tests.doubles.nvidia.cuda import *  # noqa: F403  all it has is what it is there for

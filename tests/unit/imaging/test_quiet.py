"""OpenCV is quiet while we ask it, and not loaded before."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import cv2

from edgesam_rt.imaging.quiet import quiet_opencv


def test_the_log_level_comes_back_also_when_blocks_overlap() -> None:
    log: Any = getattr(cv2.utils, "logging", cv2)
    before = log.getLogLevel()
    first, second = quiet_opencv(), quiet_opencv()
    with first:
        assert log.getLogLevel() == 0
        second.__enter__()
    assert log.getLogLevel() == 0
    second.__exit__(None, None, None)
    assert log.getLogLevel() == before


def test_importing_these_modules_does_not_load_opencv() -> None:
    code = (
        "import sys, edgesam_rt.imaging.files, edgesam_rt.imaging.quiet, edgesam_rt.cameras\n"
        "import edgesam_rt.cameras.images, edgesam_rt.cameras.video, edgesam_rt.cameras.v4l2\n"
        "sys.exit('cv2' in sys.modules)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )

"""The pipeline of a Jetson's ribbon camera, as text: no Jetson has run it yet."""

from __future__ import annotations

import pytest

from edgesam_rt.cameras import parse_source
from edgesam_rt.cameras.csi import FLIP_METHOD, pipeline_text
from edgesam_rt.cameras.options import read_options
from edgesam_rt.cameras.table import SOURCES
from edgesam_rt.errors import ConfigError


def text_of(source: str) -> str:
    spec = parse_source(source)
    return pipeline_text(spec.target, read_options(spec, SOURCES["csi"].options), source)


def test_it_reads_the_first_sensor_and_scales_in_hardware() -> None:
    assert text_of("csi:") == (
        "nvarguscamerasrc sensor-id=0 "
        "! video/x-raw(memory:NVMM),format=NV12,width=1920,height=1080 "
        "! nvvidconv flip-method=0 "
        "! video/x-raw,format=BGRx,width=1280,height=720"
    )


def test_options_become_caps() -> None:
    text = text_of("csi:1?mode=1280x720&size=640x360&fps=60&rotation=180")
    assert "sensor-id=1 " in text
    assert "width=1280,height=720,framerate=60/1 " in text
    assert text.endswith("flip-method=2 ! video/x-raw,format=BGRx,width=640,height=360")


def test_every_rotation_has_a_method() -> None:
    allowed = SOURCES["csi"].options["rotation"].expected.split(" or ")
    assert list(FLIP_METHOD) == allowed


def test_a_name_is_no_number() -> None:
    with pytest.raises(ConfigError, match="expected a camera's number"):
        text_of("csi:front")

"""The Kotlin example compiles, over stubs of LiteRT, and its pictures are those of the reference.

The compiler: `pip install --no-deps kotlin-jupyter-kernel` (80 MB, brings one along), and a Java
runtime. LiteRT itself runs on Android alone; what Segmenter.kt does with it is not run here.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.firmware.android import REFERENCE
from tests.firmware.machines import SCRIPTS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("java") is None, reason="no Java runtime"),
    pytest.mark.skipif(
        importlib.util.find_spec("run_kotlin_kernel") is None,
        reason="no Kotlin compiler: pip install --no-deps kotlin-jupyter-kernel",
    ),
]
COMPILER = "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"
STUBS = Path(__file__).parent / "kotlin"


@pytest.fixture(scope="module")
def jars() -> Path:
    """Where the compiler and its library are."""
    spec = importlib.util.find_spec("run_kotlin_kernel")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "jars"


@pytest.fixture(scope="module")
def library(jars: Path) -> str:
    """Kotlin's standard library."""
    (path,) = jars.glob("kotlin-stdlib-*.jar")
    return str(path)


@pytest.fixture(scope="module")
def classes(jars: Path, library: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example and the stubs, compiled without a warning."""
    out = tmp_path_factory.mktemp("classes")
    command = ["java", "-cp", f"{jars}/*", COMPILER, "-no-stdlib", "-no-reflect", "-Werror"]
    sources = [str(STUBS), str(SCRIPTS / "android" / "kotlin")]
    done = subprocess.run(
        [*command, "-classpath", library, "-d", str(out), *sources], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return out


@pytest.mark.parametrize("side", [512, 384])
@pytest.mark.parametrize("size", [(451, 300), (200, 640), (512, 512)])
def test_its_square_and_its_mask_are_the_references_to_the_byte(
    classes: Path, library: str, size: tuple[int, int], side: int, tmp_path: Path
) -> None:
    (w, h), random = size, np.random.default_rng(3)
    pixels = random.integers(0, 256, (h, w, 3), dtype=np.uint8)
    cells = side // 4
    coarse = random.normal(size=(cells // 8, cells // 8)).astype(np.float32)
    logits = REFERENCE.bilinear(coarse, (cells, cells), (8.0, 8.0)).astype("<f4")
    (tmp_path / "rgb.bin").write_bytes(pixels.tobytes())
    (tmp_path / "logits.bin").write_bytes(logits.tobytes())
    command = ["java", "-cp", f"{classes}:{library}", "MainKt", str(w), str(h), str(side)]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    fit = REFERENCE.Fit.of((h, w), side)
    square = np.frombuffer((tmp_path / "square.bin").read_bytes(), np.uint8)
    np.testing.assert_array_equal(
        square.reshape(side, side, 3), REFERENCE.to_square(pixels, fit, 127)
    )
    mask = np.frombuffer((tmp_path / "mask.bin").read_bytes(), np.uint8).reshape(h, w)
    np.testing.assert_array_equal(mask > 0, REFERENCE.to_picture(logits, fit, 0.0))
    unit = fit.to_unit(np.array([345, 120], np.float32))
    np.testing.assert_allclose([float(n) for n in said.split()], [*fit.covered(32), *unit], 1e-6)

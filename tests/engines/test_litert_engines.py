"""The LiteRT engines that ship, and the step that adds them to a bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edgesam_engines.errors import VerificationError
from edgesam_rt import bundle as bundles
from edgesam_rt.bundle import Bundle
from tests.packaging.fresh import run_fresh

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")

from edgesam_engines.litert import checks

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "engines" / "checkpoints" / "pocketsam-0.3.safetensors"


@pytest.fixture
def encoder(default_bundle: Bundle) -> bytes:
    side = default_bundle.sides("litert")[0]
    return default_bundle.path(default_bundle.engine("encoder", "litert", side)).read_bytes()


def test_every_convolution_of_the_shipped_encoder_is_in_integers(encoder: bytes) -> None:
    found = checks.convolutions(encoder)
    assert set(found) == {"int8"}
    assert found["int8"] > 100  # of both sides together


def test_the_shipped_encoder_runs_in_one_piece(encoder: bytes) -> None:
    assert checks.partitions(encoder) == 1


def test_the_shipped_engines_agreed_with_onnx_runtime_when_they_were_added(
    default_bundle: Bundle,
) -> None:
    report = default_bundle.manifest.verification["litert"]
    checks.require(report, "int8")
    assert {k for k in report if k.startswith("side_")} == {"side_512", "side_384"}


def test_an_encoder_that_computes_in_float_is_no_int8_encoder() -> None:
    with pytest.raises(VerificationError, match="convolutions.*float32.*expected only int8"):
        checks.require({"encoder_convolutions": {"int8": 70, "float32": 8}}, "int8")


def test_engines_with_other_masks_are_refused_with_the_figures() -> None:
    side = {"mean_iou": 0.93, "cosine": {"grid8": 0.98}}
    report = {"encoder_convolutions": {"float32": 78}, "side_512": side}
    with pytest.raises(VerificationError, match=r"side_512: mean IoU .* 0\.93.*0\.99.*grid8"):
        checks.require(report, "fp32")


def test_without_the_library_the_command_to_install_it_is_named() -> None:
    code = """
from edgesam_engines.cli import main
sys.stderr = sys.stdout
print(main(["add-litert", "pocketsam-int8", "--photos", "."]))
"""
    told = run_fresh(code, blocked=("ai_edge_litert",))
    assert "pip install 'edgesam_rt[engines-litert]'" in told
    assert told.split()[-1] == "3"
    assert "Traceback" not in told


@pytest.mark.torch
@pytest.mark.parametrize("inner_wh", [(384, 224), (160, 384), (384, 384)])
def test_a_decoder_for_whole_squares_answers_as_one_for_cut_embeddings(
    inner_wh: tuple[int, int],
) -> None:
    import torch

    from edgesam_engines.families.pocketsam_family import PocketSamFamily
    from edgesam_rt.cutting import cut_for
    from edgesam_rt.imaging.geometry import Fit
    from edgesam_rt.manifest import COVERED, TensorSpec

    family, side, n = PocketSamFamily(), 384, 4
    model = family.load(CHECKPOINT)
    fit = Fit(inner_wh[::-1], side, inner_wh[::-1])
    generator = torch.Generator().manual_seed(0)
    prompts = {
        "point_coords": torch.rand(n, 3, 2, generator=generator),
        "point_labels": torch.tensor([[1.0, -1, -1], [2, 3, 1], [1, 0, -1], [-1, -1, -1]]),
        "has_mask_input": torch.tensor([[0.0], [0], [1], [1]]),
        "mask_tokens": 0.3 + torch.rand(n, 133, generator=generator),
    }
    earlier = torch.randn(n, 1, side // 4, side // 4, generator=generator) * 4
    h, w = (k // 4 for k in fit.covered(32))
    covered = torch.tensor([4 * h / side, 4 * w / side])
    cut_parts, whole_parts = (
        family.decoder_graphs(model, side, whole=whole) for whole in (False, True)
    )
    for part, spec in cut_parts.items():
        whole = whole_parts[part]
        image = {
            name: torch.randn(t.shape, generator=generator)
            for name, t in spec.inputs.items()
            if name not in {*prompts, "mask_input"}
        }
        specs = [
            TensorSpec(name=k, shape=tuple(v.shape), dtype="float32", layout=family.layouts[k])
            for k, v in image.items()
        ]
        cut = cut_for(specs, 32)({k: v.numpy() for k, v in image.items()}, fit)
        inner = {k: torch.from_numpy(np.array(v)) for k, v in cut.items()}
        inner |= prompts | {"mask_input": earlier[..., :h, :w]}
        outer = {**image, **prompts, "mask_input": earlier, COVERED: covered}
        with torch.no_grad():
            want = spec.module(*(inner[name] for name in spec.inputs))
            got = whole.module(*(outer[name] for name in whole.inputs))
        for name, a, b in zip(spec.outputs, want, got, strict=True):
            if name == "low_res_masks":
                assert (b[..., h:, :] < -1000).all()  # no mask where no picture is
                b = b[..., :h, :w]
            torch.testing.assert_close(b, a, rtol=1e-3, atol=1e-3, msg=f"{part} {name}")


@pytest.mark.torch
@pytest.mark.slow
def test_engines_are_added_once_and_the_same_every_time(
    default_bundle: Bundle, tmp_path: Path
) -> None:
    from edgesam_engines.cli import main

    folder = tmp_path / "pocketsam-int8"
    shutil.copytree(default_bundle.folder, folder)
    photos = ROOT / "demo" / "photos"
    assert main(["add-litert", str(folder), "--photos", str(photos)]) == 0
    made = bundles.load(folder).manifest.engines
    shipped = default_bundle.manifest.engines
    assert [(e.part, e.backend, e.file) for e in made] == [
        (e.part, e.backend, e.file) for e in shipped
    ]
    assert {e.sha256 for e in made} == {e.sha256 for e in shipped}

"""Engines that load and run and give wrong answers: each is refused, or nobody ever notices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx breaks the engines for these tests")

from onnx import ModelProto, helper, numpy_helper  # noqa: E402

import edgesam_rt as es  # noqa: E402
from edgesam_rt import selftest  # noqa: E402
from edgesam_rt.bundle import Bundle  # noqa: E402
from edgesam_rt.engines import EngineSet, resolve  # noqa: E402
from edgesam_rt.errors import BundleError, SelfTestError  # noqa: E402
from edgesam_rt.imaging.geometry import Fit  # noqa: E402
from edgesam_rt.records import Embedding  # noqa: E402
from edgesam_rt.segmenter import Decoder, Encoder, EngineOptions  # noqa: E402
from edgesam_rt.types import F32, AnyArray  # noqa: E402
from tests.bundle_doubles import Plain, edit_manifest, index_of, linked_copy, put_engine  # noqa: E402

SAME_EMBEDDING = r"self-test failed: two different pictures give nearly the same embedding"
OTHER_MASK = r"self-test failed: the known prompt gives another mask"
Change = Callable[[ModelProto], object]


def side_of(bundle: Bundle) -> int:
    return bundle.sides("onnxruntime")[-1]


def broken_copy(original: Bundle, to: Path, part: str, change: Change) -> Path:
    """The bundle with one engine changed in meaning; sizes and hashes fit, as after a bad build."""
    folder = linked_copy(original, to)
    index = index_of(original, part, side_of(original))
    model = onnx.load(original.folder / original.manifest.engines[index].file)
    change(model)
    put_engine(folder, index, model.SerializeToString())
    return folder


def open_small(original: Bundle, folder: Path, *, self_test: bool = True) -> es.Segmenter:
    return es.open(
        folder, board="cpu", threads=1, encoder_side=side_of(original), self_test=self_test
    )


def change_values(model: ModelProto, name: str, change: Callable[[AnyArray], AnyArray]) -> None:
    (found,) = (i for i in model.graph.initializer if i.name == name)
    values = numpy_helper.to_array(found)
    found.CopyFrom(numpy_helper.from_array(change(values).astype(values.dtype), name))


def weights_of(model: ModelProto) -> list[str]:
    """Names of the integer weights of all convolutions, in the order of the graph."""
    stored = {i.name for i in model.graph.initializer if len(i.dims) == 4}
    made = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "DequantizeLinear"}
    used = [made.get(n.input[1], "") for n in model.graph.node if n.op_type == "Conv"]
    return [name for name in used if name in stored]


def no_weights(at: int) -> Change:
    return lambda model: change_values(model, weights_of(model)[at], lambda v: v * 0)


def replace_output(operation: str, *more: F32) -> Change:
    """Put an operation behind the first output of a graph."""

    def change(model: ModelProto) -> None:
        graph = model.graph
        name = graph.output[0].name
        for node in graph.node:
            for i, output in enumerate(node.output):
                if output == name:
                    node.output[i] = "as_it_was"
        for i, values in enumerate(more):
            graph.initializer.append(numpy_helper.from_array(values, f"extra_{i}"))
        inputs = ["as_it_was", *(f"extra_{i}" for i in range(len(more)))]
        graph.node.append(helper.make_node(operation, inputs, [name]))

    return change


def test_the_engines_that_ship_pass_at_every_side(default_bundle: Bundle) -> None:
    resolve(board="cpu", threads=1).trust_all()


@pytest.mark.parametrize(
    "change",
    [no_weights(0), no_weights(1), no_weights(2)],
    ids=["stem", "first depthwise", "first block"],
)
def test_an_encoder_that_gives_every_picture_the_same_embedding_is_refused(
    default_bundle: Bundle, tmp_path: Path, change: Change
) -> None:
    folder = broken_copy(default_bundle, tmp_path / "broken", "encoder", change)
    with pytest.raises(SelfTestError, match=SAME_EMBEDDING):
        open_small(default_bundle, folder)


@pytest.mark.parametrize(
    "change",
    [
        replace_output("Neg"),
        replace_output("Mul", np.zeros(1, np.float32)),
        replace_output("Add", np.full(1, 6, np.float32)),
        replace_output("Mul", np.full(1, np.nan, np.float32)),
    ],
    ids=["sign", "nothing", "too large", "NaN"],
)
def test_a_mask_head_that_makes_another_mask_is_refused(
    default_bundle: Bundle, tmp_path: Path, change: Change
) -> None:
    folder = broken_copy(default_bundle, tmp_path / "broken", "mask_head", change)
    with pytest.raises(SelfTestError, match=OTHER_MASK):
        open_small(default_bundle, folder)


def test_a_mask_head_with_the_signs_of_its_weights_swapped_is_refused(
    default_bundle: Bundle, tmp_path: Path
) -> None:
    def change(model: ModelProto) -> None:
        sizes = {i.name: int(np.prod(i.dims)) for i in model.graph.initializer}
        change_values(model, max(sizes, key=lambda n: sizes[n]), lambda v: -v)

    folder = broken_copy(default_bundle, tmp_path / "broken", "mask_head", change)
    with pytest.raises(SelfTestError, match=OTHER_MASK):
        open_small(default_bundle, folder)


# Found by breaking one convolution after another: what each does to the masks of real photos is in
# the name. A disc before a plain ground is found all the same.
@pytest.mark.parametrize(
    ("weights", "change"),
    [
        ("encoder.trunk.blocks.2.project.conv.weight_quantized", lambda v: v * 0),
        ("encoder.trunk.blocks.10.project.conv.weight_quantized", lambda v: -v.clip(-127)),
    ],
    ids=["a lost stage: IoU 0.95 becomes 0.25", "a swapped sign: IoU 0.95 becomes 0.56"],
)
def test_an_encoder_that_is_wrong_on_photos_and_right_on_the_easy_disc_is_refused(
    default_bundle: Bundle,
    tmp_path: Path,
    weights: str,
    change: Callable[[AnyArray], AnyArray],
) -> None:
    folder = broken_copy(
        default_bundle,
        tmp_path / "broken",
        "encoder",
        lambda model: change_values(model, weights, change),
    )
    with pytest.raises(SelfTestError):
        open_small(default_bundle, folder)


def test_the_refusal_names_the_bundle_the_side_the_figures_and_what_to_do(
    default_bundle: Bundle, tmp_path: Path
) -> None:
    folder = broken_copy(default_bundle, tmp_path / "broken", "encoder", no_weights(0))
    with pytest.raises(SelfTestError) as caught:
        open_small(default_bundle, folder)
    text = str(caught.value)
    for part in (default_bundle.label, f"side {side_of(default_bundle)}", "distance 0", "backend"):
        assert part in text
    assert caught.value.exit_code == 1


def test_without_the_self_test_a_broken_engine_opens(
    default_bundle: Bundle, tmp_path: Path
) -> None:
    folder = broken_copy(default_bundle, tmp_path / "broken", "encoder", no_weights(0))
    with open_small(default_bundle, folder, self_test=False) as segmenter:
        first, second = (segmenter.encode(picture) for picture in selftest.pictures())
        assert selftest.embedding_distance(first, second) == 0


def test_a_refused_engine_is_refused_again(default_bundle: Bundle, tmp_path: Path) -> None:
    folder = broken_copy(default_bundle, tmp_path / "broken", "encoder", no_weights(0))
    engines = resolve(
        board="cpu", bundle_name=folder, encoder_side=side_of(default_bundle), threads=1
    )
    for _ in range(2):
        with pytest.raises(SelfTestError):
            engines.trust_all()


def test_a_broken_engine_is_refused_before_a_stream_gives_its_first_result(
    default_bundle: Bundle, tmp_path: Path
) -> None:
    folder = broken_copy(default_bundle, tmp_path / "broken", "encoder", no_weights(0))
    with open_small(default_bundle, folder, self_test=False) as segmenter:
        trusting = segmenter._engines
        engines = EngineSet(
            trusting.board, trusting.bundle, trusting.options, trusting.sides, self_test=True
        )
        segmenter._engines = engines
        with pytest.raises(SelfTestError):
            next(iter(segmenter.stream("synthetic:?frames=2", prompts=[es.Prompt.point(9, 9)])))


def test_every_side_of_a_ladder_is_tested(default_bundle: Bundle, tmp_path: Path) -> None:
    folder = broken_copy(default_bundle, tmp_path / "broken", "encoder", no_weights(0))
    engines = resolve(board="cpu", bundle_name=folder, threads=1)
    assert len(engines.sides) > 1
    with pytest.raises(SelfTestError, match=f"side {side_of(default_bundle)}"):
        engines.trust_all()


def test_a_side_without_a_known_answer_is_refused(default_bundle: Bundle, tmp_path: Path) -> None:
    folder = linked_copy(default_bundle, tmp_path / "untested")
    edit_manifest(folder, lambda m: m["self_test"].update(cases=[]))
    with pytest.raises(BundleError, match="no self-test for side"):
        open_small(default_bundle, folder)


@pytest.mark.parametrize(
    "change",
    [{"mask_counts": "no rle"}, {"mask_counts": "PT4"}, {"mask_counts": ""}],
    ids=["no text", "of another size", "empty"],
)
def test_a_damaged_known_mask_is_a_fault_of_the_bundle(
    default_bundle: Bundle, tmp_path: Path, change: Plain
) -> None:
    folder = linked_copy(default_bundle, tmp_path / "damaged")

    def damage(manifest: Plain) -> None:
        for case in manifest["self_test"]["cases"]:
            case.update(change)

    edit_manifest(folder, damage)
    with pytest.raises(BundleError, match=str(folder)):
        open_small(default_bundle, folder)


def test_a_test_point_outside_its_picture_is_a_fault_of_the_bundle(
    default_bundle: Bundle, tmp_path: Path
) -> None:
    folder = linked_copy(default_bundle, tmp_path / "damaged")
    edit_manifest(folder, lambda m: m["self_test"].update(point=[9999, 5]))
    with pytest.raises(BundleError, match=str(folder)):
        open_small(default_bundle, folder)


# The pictures and the distance


def test_the_pictures_are_the_same_bits_anywhere() -> None:
    first, second = selftest.pictures()
    assert first.shape == second.shape == (*selftest.PICTURE_HW, 3)
    assert [int(p.astype(np.int64).sum()) for p in (first, second)] == [24_870_654, 28_377_600]


def embedding(**tensors: F32) -> Embedding:
    return Embedding(tensors, Fit((8, 8), 8, (8, 8)), "made", "by hand")


def test_equal_embeddings_have_distance_0() -> None:
    one = embedding(a=np.ones(4, np.float32))
    assert selftest.embedding_distance(one, one) == 0


def test_one_constant_tensor_is_enough_for_distance_0() -> None:
    rng = np.random.default_rng(0)
    same = np.ones(4, np.float32)
    a, b = (embedding(a=rng.random(4).astype(np.float32), b=same) for _ in range(2))
    assert selftest.embedding_distance(a, b) == 0


@pytest.mark.parametrize("place", ["a", "b"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_tensor_that_is_not_finite_never_counts_as_far_apart(place: str, bad: float) -> None:
    rng = np.random.default_rng(0)
    both = [{n: rng.random(4).astype(np.float32) for n in "ab"} for _ in range(2)]
    for tensors in both:
        tensors[place][1] = bad
    with np.errstate(invalid="ignore"):
        distance = selftest.embedding_distance(*(embedding(**t) for t in both))
    assert not distance > 0


def test_the_known_point_is_answered_the_same_by_opened_parts(
    default_bundle: Bundle, small_encoder: Encoder, decoder: Decoder
) -> None:
    selftest.run(default_bundle, small_encoder, decoder)
    options = EngineOptions("onnxruntime")
    second = Encoder(default_bundle, options, small_encoder.side)
    selftest.run(default_bundle, second, decoder)
    second.close()

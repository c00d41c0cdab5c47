"""A teacher's questions, its answers on disk, the batches of them, and the losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from edgesam_engines.errors import CheckpointError
from edgesam_engines.families.pocketsam import (
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    FOREGROUND,
    PAD_LABEL,
)
from edgesam_engines.families.pocketsam_family import PocketSamFamily
from edgesam_engines.train import loop, rounds
from edgesam_engines.train.config import Distil, Recipe
from edgesam_engines.train.distil import ask
from edgesam_engines.train.distil.cache import AnswerCache, Answers, as_bytes
from edgesam_engines.train.distil.heads import Heads, Shape, relative_l1
from edgesam_engines.train.distil.objects import answers_about
from edgesam_engines.train.distil.samples import Distillation, TeacherBatches
from edgesam_engines.train.distil.teacher import Named, Teacher
from edgesam_engines.train.network import new_model, to_input
from edgesam_engines.train.sources import Entry, Split
from edgesam_engines.train.validate import Asker, letterbox
from edgesam_rt.errors import ConfigError
from edgesam_rt.prompt_feeds import from_points
from tests.engines.train_doubles import POCKETSAM, tiny_recipe

pytestmark = pytest.mark.torch
SIDE = 128
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    """The weights that ship, on small pictures."""
    family = PocketSamFamily()
    return Teacher(family, family.load(POCKETSAM), SIDE)


def recipe(tmp_path: Path, **changes: object) -> Recipe:
    rules = Distil(points_per_side=4, objects=6, min_predicted_iou=0.2, min_stability=0.3)
    rules = msgspec.structs.replace(rules, **changes)
    return msgspec.structs.replace(tiny_recipe(tmp_path, steps=50), distil=rules)


def scene() -> np.ndarray:
    """(90, 120, 3): a bright disc and a dark square."""
    image = np.full((90, 120, 3), 120, np.uint8)
    cv2.circle(image, (35, 45), 22, (250, 240, 200), -1)
    cv2.rectangle(image, (75, 25), (110, 60), (20, 10, 60), -1)
    return image


def photos(folder: Path, count: int = 2) -> list[Entry]:
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for i in range(count):
        path = folder / f"{i}.png"
        cv2.imwrite(str(path), np.roll(scene(), 6 * i, 1)[..., ::-1])
        entries.append(Entry("own", path, None))
    return entries


def test_the_teacher_answers_as_the_model_does_on_a_photo_of_its_own_shape(
    teacher: Teacher,
) -> None:
    image = scene()
    seen = teacher.encode(image)
    points = np.array([[35, 45], [90, 40]], np.float32)
    reply = teacher.ask(seen, from_points(points, seen.fit, teacher.facts))
    square, nw, nh = letterbox(image, SIDE)
    model = PocketSamFamily().load(POCKETSAM)
    with torch.no_grad():
        embedding = model.encoder(to_input(torch.from_numpy(square)[None], CPU)).cut((nw, nh))
        asker = Asker(model, embedding, SIDE, (nw, nh), image.shape[:2])
        clicks = [[(float(x) / 120, float(y) / 90, FOREGROUND)] for x, y in points]
        logits, iou = asker.ask(clicks)
    h, w = nh // 4, nw // 4
    same = (reply.logits[..., :h, :w] > 0) == (logits[..., :h, :w] > 0)
    assert same.float().mean() > 0.99
    assert torch.allclose(reply.iou, iou, atol=0.02)
    assert reply.tokens.shape == (2, 4, 128)


def test_it_finds_the_disc_by_points_and_by_boxes(tmp_path: Path, teacher: Teacher) -> None:
    found = answers_about(teacher, scene(), recipe(tmp_path), 0)
    k = len(found.points)
    assert 1 <= k <= 6
    assert found.embedding.shape == (128, 12, 16)  # three quarters as high as it is wide
    assert found.masks.shape == (2, k, 24, 32)
    assert found.tokens.shape == (2, k, 128)
    yy, xx = np.mgrid[:24, :32]
    disc = torch.from_numpy((xx * 3.75 - 35) ** 2 + (yy * 3.75 - 45) ** 2 < 22**2)
    for row in (0, 1):
        made = found.masks[row] > 127
        ious = (made & disc).sum((1, 2)) / (made | disc).sum((1, 2))
        assert ious.max() > 0.7


def test_the_same_photo_is_asked_the_same(tmp_path: Path, teacher: Teacher) -> None:
    rules = recipe(tmp_path)
    one, two, other = (answers_about(teacher, scene(), rules, n) for n in (5, 5, 6))
    assert all(a.equal(b) for a, b in zip(one, two, strict=True))
    assert one.points.shape != other.points.shape or not one.points.equal(other.points)


def test_a_teacher_that_is_sure_of_nothing_gives_no_objects(
    tmp_path: Path, teacher: Teacher
) -> None:
    found = answers_about(teacher, scene(), recipe(tmp_path, min_predicted_iou=1.0), 0)
    assert found.masks.shape[:2] == (2, 0)
    assert found.embedding.shape[0] == 128


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mobile_sam.pt", "expected FAMILY:CHECKPOINT"),
        ("mobilesam:", "expected FAMILY:CHECKPOINT"),
        ("mobilsam:x.pt", "Did you mean 'mobilesam'"),
        ("mobilesam:nowhere/x.pt", "no such file"),
    ],
)
def test_a_teacher_that_cannot_be_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Named.parse(text)


# On disk ---------------------------------------------------------------------------------------


def test_answers_are_asked_once_and_kept(
    tmp_path: Path, teacher: Teacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries, rules = photos(tmp_path / "in", 3), recipe(tmp_path)
    named, said = Named("pocketsam", POCKETSAM), []
    monkeypatch.setattr(Teacher, "load", lambda named: teacher)
    first = ask.ask_about(named, rules, entries[:2], entries[2:], tmp_path, said.append)
    assert [e.photo for e in first.learnt] == [e.photo for e in entries[:2]]
    (judged,) = first.judged
    assert judged.ids is not None
    assert cv2.imread(str(judged.ids), cv2.IMREAD_UNCHANGED).shape == (90, 120)

    def never(named: Named) -> Teacher:
        raise AssertionError("asked again")

    monkeypatch.setattr(Teacher, "load", never)
    again = ask.ask_about(named, rules, entries[:2], entries[2:], tmp_path, said.append)
    assert again.learnt == first.learnt
    other = msgspec.structs.replace(rules, seed=9)
    with pytest.raises(CheckpointError, match=r"another teacher, or to other questions.*--out"):
        ask.ask_about(named, other, entries, [], tmp_path, said.append)


def test_photos_beyond_the_caches_size_are_left_out_and_told(
    tmp_path: Path, teacher: Teacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Teacher, "load", lambda named: teacher)
    monkeypatch.setattr(AnswerCache, "has_room", lambda self: self._held == 0)
    said: list[str] = []
    named = Named("pocketsam", POCKETSAM)
    asked = ask.ask_about(
        named, recipe(tmp_path), photos(tmp_path / "in", 3), [], tmp_path, said.append
    )
    assert len(asked.learnt) == 1
    assert any("left out: 2 of 3 photos" in line and "cache_mib" in line for line in said)


def test_a_cache_counts_what_it_holds_also_when_opened_again(tmp_path: Path) -> None:
    entry = Entry("own", Path("a.jpg"), None)
    cache = AnswerCache(tmp_path / "c", {"family": "x"}, 1)
    assert cache.has_room()
    cache.put(entry, Answers(torch.zeros(512, 32, 32).half(), *(torch.zeros(1) for _ in range(5))))
    assert not cache.has_room()
    assert not AnswerCache(tmp_path / "c", {"family": "x"}, 1).has_room()
    cache.path(entry).write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="not whole"):
        cache.get(entry)


# Batches ---------------------------------------------------------------------------------------


def one_object(tmp_path: Path, tokens: int = 5) -> Distillation:
    """A photo of 120x90 whose left half is the object, in the answers of nobody."""
    (entry,) = photos(tmp_path / "in", 1)
    cache = AnswerCache(tmp_path / "cache", {}, 100)
    masks = torch.zeros(2, 1, 24, 32, dtype=torch.uint8)
    masks[..., :16] = 255
    cache.put(
        entry,
        Answers(
            embedding=torch.ones(6, 12, 16).half(),
            corners=torch.tensor([[[0.0, 0.0], [0.5, 1.0]]]),
            points=torch.tensor([[0.25, 0.5]]),
            masks=masks,
            trust=torch.tensor([[0.9], [0.6]]),
            tokens=torch.full((2, 1, tokens), 2.0).half(),
        ),
    )
    return Distillation(recipe(tmp_path), cache, [entry])


def test_a_batch_has_prompts_masks_and_embedding_where_the_photo_is(tmp_path: Path) -> None:
    source = one_object(tmp_path)
    sample = TeacherBatches(source.recipe, source, 2)[0]
    view = sample.teacher
    assert view is not None
    assert sample.images.shape == (2, 64, 64, 3)
    n = sample.targets.shape[1]
    assert (sample.targets[0, 0, :24, :15] == 255).all()
    assert (sample.targets[0, 0, :, 17:] == 0).all()
    assert (sample.targets[0, 0, 24:] == 0).all()
    box, point = view.labels[0, 0], view.labels[0, -1]
    assert box.tolist()[:3] == [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT, PAD_LABEL]
    assert point.tolist()[:2] == [FOREGROUND, PAD_LABEL]
    assert view.coords[0, 0, 1].tolist() == [0.5, 0.75]
    assert view.coords[0, -1, 0].tolist() == [0.25, 0.375]
    assert view.trust[0].tolist() == pytest.approx([0.9] * view.boxes + [0.6] * (n - view.boxes))
    assert view.seen[0, 0, :6].all()
    assert not view.seen[0, 0, 6:].any()
    assert (view.embedding[0, :, :6] == 1).all()


def test_steps_are_shared_between_labels_and_the_teacher(tmp_path: Path) -> None:
    source = one_object(tmp_path)
    rules = msgspec.structs.replace(source.rules, share=0.5)
    shared = Distillation(
        msgspec.structs.replace(source.recipe, distil=rules), source.cache, source.photos
    )

    class Labelled(torch.utils.data.Dataset):  # type: ignore[type-arg]
        def __getitem__(self, step: int) -> str:
            return "labels"

    mixed = shared.mixed_with(Labelled(), 1, labelled=True)
    kinds = [mixed[i] == "labels" for i in range(40)]
    assert 10 < sum(kinds) < 30
    assert [mixed[i] == "labels" for i in range(40)] == kinds
    assert shared.mixed_with(Labelled(), 1, labelled=False)[0] != "labels"


# Losses ----------------------------------------------------------------------------------------


def test_the_relative_distance_counts_only_what_is_seen() -> None:
    wanted, seen = torch.tensor([2.0, -2.0, 50.0]), torch.tensor([1.0, 1.0, 0.0])
    assert relative_l1(torch.zeros(3), wanted, seen) == 1
    assert relative_l1(torch.tensor([1.0, -2.0, 0.0]), wanted, seen) == 0.25


def test_probabilities_survive_in_255_steps() -> None:
    logits = torch.tensor([-30.0, -1.0, 0.5, 30.0])
    back = as_bytes(logits).float() / 255
    assert torch.allclose(back, torch.sigmoid(logits), atol=1 / 510)


def test_the_projection_has_the_teachers_shape() -> None:
    model, heads = new_model(0, pretrained=False), Heads(Shape(256, 0), Distil())
    embedding = model.encoder(torch.zeros(2, 3, 64, 64))
    assert heads.project(embedding).shape == (2, 256, 8, 8)
    assert heads.token is None


def trainer_of(source: Distillation) -> loop.Trainer:
    return loop.Trainer.create(source.recipe, CPU, pretrained=False, heads=source.heads())


def test_first_the_encoder_learns_alone_then_all_of_it(tmp_path: Path) -> None:
    source = one_object(tmp_path)
    rules = msgspec.structs.replace(source.rules, encoder_steps=1)
    source = Distillation(
        msgspec.structs.replace(source.recipe, distil=rules), source.cache, source.photos
    )
    sample = TeacherBatches(source.recipe, source, 1)[0]
    trainer = trainer_of(source)
    before = trainer.model.scorer.mask_tokens.detach().clone()
    assert trainer.step(sample, 0).keys() == {"embedding", "loss", "gradient"}
    assert trainer.model.scorer.mask_tokens.equal(before)
    assert {"embedding", "tokens", "box", "point", "clicks"} <= trainer.step(sample, 1).keys()
    assert not trainer.model.scorer.mask_tokens.equal(before)


def test_every_part_of_the_loss_falls_on_one_batch(tmp_path: Path) -> None:
    source = one_object(tmp_path)
    sample = TeacherBatches(source.recipe, source, 1)[0]
    trainer = trainer_of(source)
    stats = [trainer.step(sample, i) for i in range(12)]
    for name in ("loss", "embedding", "tokens"):
        assert stats[-1][name] < 0.9 * stats[0][name], name


def test_predicted_ious_learn_no_more_trust_than_the_teacher_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = one_object(tmp_path, tokens=0)
    sample = TeacherBatches(source.recipe, source, 1)[0]
    trainer = trainer_of(source)
    assert trainer.heads is not None
    seen: list[torch.Tensor] = []
    original = rounds.Game.answer

    def spy(self: rounds.Game, *args: Any) -> rounds.Answer:
        answer = original(self, *args)
        seen.append((answer.worth <= answer.achieved * 0.9 + 1e-6).all())
        return answer

    monkeypatch.setattr(rounds.Game, "answer", spy)
    trainer.step(sample, 0)
    assert seen
    assert all(seen)


def test_a_run_on_a_teacher_alone_resumes_with_its_heads(tmp_path: Path) -> None:
    source = one_object(tmp_path)
    rules = msgspec.structs.replace(source.recipe.schedule, total_steps=2)
    half = msgspec.structs.replace(
        source.recipe, schedule=msgspec.structs.replace(rules, total_steps=1)
    )
    split, out = Split({"own": []}, {"own": []}, {}), tmp_path / "out"
    assert loop.train(half, split, out, CPU, POCKETSAM, distillation=source)
    whole = msgspec.structs.replace(half, schedule=rules)
    assert loop.train(whole, split, out, CPU, distillation=source)
    with pytest.raises(CheckpointError, match="another training"):
        loop.train(whole, split, out, CPU)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_published_family_teaches_with_its_tokens(tmp_path: Path) -> None:
    from edgesam_engines.families.mobilesam import MobileSam
    from edgesam_engines.families.sam_graphs import SamModel

    torch.manual_seed(0)
    family = MobileSam()
    model = SamModel(family.image_encoder({}), 64, 1024).eval()
    found = answers_about(
        Teacher(family, model), scene(), recipe(tmp_path, min_predicted_iou=0, min_stability=0), 0
    )
    assert found.embedding.shape == (256, 48, 64)
    assert found.masks.shape[2:] == (192, 256)
    assert found.tokens.shape[-1] == 256
    assert found.tokens.shape[:2] == found.masks.shape[:2]

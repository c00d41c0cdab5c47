"""The ways to find all masks of a picture, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from msgspec.structs import replace as with_facts

from edgesam_rt.boxes import Boxes
from edgesam_rt.clock import CLOCK
from edgesam_rt.errors import ConfigError
from edgesam_rt.everything import grid, lattice, regions
from edgesam_rt.everything.crops import ask_crops
from edgesam_rt.everything.grid import Crop
from edgesam_rt.everything.pace import Pace
from edgesam_rt.everything.search import KeepBox, Search
from edgesam_rt.manifest import EverythingFacts
from edgesam_rt.records import Embedding, MaskSet
from edgesam_rt.segmenter import Decoder
from edgesam_rt.types import U8


@dataclass(frozen=True, eq=False)
class Request:
    """One picture, and what is there to find its masks with.

    Attributes:
        decoder: of the bundle that made the embedding.
        embedding: of the picture.
        facts: thresholds.
        pixels: (H, W, 3) uint8 RGB, or None where only the embedding is at hand.
        encode: makes embeddings of parts of the picture, for crop layers; None where there is none.
        find: finds boxes of objects; None where nothing is open that could.
        deadline_ns: monotonic time at which the result must be there; None is never.
    """

    decoder: Decoder
    embedding: Embedding
    facts: EverythingFacts
    pixels: U8 | None = None
    encode: Callable[[U8], Embedding] | None = None
    find: Callable[[U8 | None, Embedding], Boxes] | None = None
    deadline_ns: int | None = None

    def search(self, keep_box: KeepBox | None = None) -> Search:
        """A search of this picture."""
        return Search(
            self.decoder, self.embedding, self.facts, Pace(self.deadline_ns, CLOCK), keep_box
        )


def grid_strategy(request: Request) -> MaskSet:
    """Ask with a uniform grid of points: SAM's automatic mask generator."""
    facts, h_w = request.facts, request.embedding.image_hw
    if not facts.crop_n_layers:
        return _ask_grid(request, facts.points_per_side, None)
    if request.pixels is None or request.encode is None:
        raise ConfigError(
            "everything: crop_n_layers needs the picture and its encoder; it was given an "
            "embedding, or a stream. Pass the image to everything(), or leave crop layers out."
        )
    pixels, encode = request.pixels, request.encode

    def ask(crop: Crop, keep_box: KeepBox | None) -> MaskSet:
        part = request
        if crop.layer:
            own = np.ascontiguousarray(pixels[crop.y0 : crop.y1, crop.x0 : crop.x1])
            part = replace(request, embedding=encode(own))
        per_side = facts.points_per_side // facts.crop_n_points_downscale_factor**crop.layer
        return _ask_grid(part, max(1, per_side), keep_box)

    crops = grid.crops(h_w, facts.crop_n_layers, facts.crop_overlap_ratio)
    return ask_crops(crops, request.embedding.fit, ask, facts.crop_nms_thresh)


def _ask_grid(request: Request, per_side: int, keep_box: KeepBox | None) -> MaskSet:
    search = request.search(keep_box)
    points = grid.points(per_side, request.embedding.image_hw)
    search.ask_points(points[grid.coarse_to_fine(per_side)])
    return search.finish()


def hierarchical_strategy(request: Request) -> MaskSet:
    """Ask coarsely, then finely where no mask is sure yet: TinySAM's hierarchical mode."""
    facts, hw = request.facts, request.embedding.image_hw
    search = request.search()
    coarse = grid.points(max(1, facts.points_per_side // lattice.COARSER), hw)
    search.ask_points(coarse)
    fine = lattice.fine_points(coarse, facts.points_per_side, hw)
    search.ask_points(fine[~search.covers(fine, facts.high_score_thresh)])
    return search.finish()


def objects_strategy(request: Request) -> MaskSet:
    """Ask with the boxes of a detector: MobileSAMv2's object-aware prompts.

    Ranked by the box's score times the mask's predicted IoU. No mask is dropped but for overlap.
    """
    if request.find is None:
        raise ConfigError(
            "everything: strategy 'objects' needs a detector. Open the segmenter with "
            "detector=NAME (edgesam-run --detector), or use 'grid' or 'hierarchical'."
        )
    boxes = request.find(request.pixels, request.embedding)
    facts = with_facts(request.facts, pred_iou_thresh=0.0, stability_score_thresh=0.0)
    search = replace(request, facts=facts).search()
    search.ask_boxes(boxes.xyxy, boxes.score)
    return search.finish()


STRATEGIES: dict[str, Callable[[Request], MaskSet]] = {
    "grid": grid_strategy,
    "hierarchical": hierarchical_strategy,
    "objects": objects_strategy,
}


def everything(strategy: str, request: Request) -> MaskSet:
    """Find all masks of a picture, best first; possibly none.

    Raises:
        ConfigError: the strategy needs something that is not there.
    """
    found = STRATEGIES[strategy](request)
    facts = request.facts
    nms_thresh = max(facts.box_nms_thresh, facts.crop_nms_thresh)
    return regions.clean(found, facts.min_mask_region_area, nms_thresh)

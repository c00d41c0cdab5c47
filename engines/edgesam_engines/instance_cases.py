"""What engines that find instances are asked when checked: for the float model's, by their boxes.

A point lies in several instances, and which of them is surest may change by a thousandth; the box
of an instance that the float model finds asks for just that one.
"""

from __future__ import annotations

from dataclasses import replace

from edgesam_engines.verify_cases import BOX, Case
from edgesam_rt.decoders import AnyDecoder
from edgesam_rt.instances.decoder import InstanceDecoder
from edgesam_rt.records import Embedding, Prompt

MOST = 32  # instances of a photo, the surest


def asking_for_instances(case: Case, decoder: AnyDecoder, exact: Embedding) -> Case:
    """A photo's case, asking for what the float model finds in it.

    Args:
        case: as for any bundle; it stays so where its true masks are known, where the bundle has a
            decoder to ask, or where nothing is found.
        decoder: of the bundle.
        exact: the float model's embedding of the photo.
    """
    if case.truths or not isinstance(decoder, InstanceDecoder):
        return case
    boxes = decoder.find(exact).boxes_xyxy[:MOST].tolist()
    prompts = [Prompt.box(*box) for box in boxes]
    return replace(case, prompts=prompts, kinds=[BOX] * len(prompts)) if prompts else case

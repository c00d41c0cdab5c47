"""Everything mode where the encoder has found all instances: their masks, the surest first."""

from __future__ import annotations

import numpy as np

from edgesam_rt.clock import CLOCK
from edgesam_rt.everything.pace import Pace
from edgesam_rt.instances import masks
from edgesam_rt.instances.decoder import InstanceDecoder
from edgesam_rt.manifest import InstanceFacts
from edgesam_rt.prompt_feeds import low_res_hw
from edgesam_rt.records import Embedding, MaskSet

MASKS_AT_ONCE = 32  # between two looks at the clock


def every_instance(
    decoder: InstanceDecoder,
    embedding: Embedding,
    facts: InstanceFacts,
    deadline_ns: int | None = None,
) -> MaskSet:
    """Masks of all instances, by falling confidence; possibly none.

    Args:
        decoder: of the bundle that made the embedding.
        embedding: of the picture.
        facts: thresholds.
        deadline_ns: monotonic time at which the result must be there; the masks made until then are
            returned, the first MASKS_AT_ONCE whatever the time. None is never.
    """
    found = decoder.find(embedding, facts)
    count, done, pace = len(found.scores), 0, Pace(deadline_ns, CLOCK)
    logits = np.empty((count, *low_res_hw(embedding.fit, decoder.facts)), np.float32)
    while done < count and (not done or pace.allows("make", MASKS_AT_ONCE)):
        now = slice(done, done + MASKS_AT_ONCE)
        with pace.spending("make", MASKS_AT_ONCE):
            masks.make(embedding, found.pick(now), out=logits[now])
        done = min(now.stop, count)
    completeness = done / count if count else 1.0
    return decoder.masks(embedding, found.pick(slice(done)), logits[:done], completeness)

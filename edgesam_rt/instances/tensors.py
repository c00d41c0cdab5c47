"""What the engine of a bundle that finds instances gives, once per picture.

One contract for all families: thresholds, suppression and masks are the runtime's; grids, strides,
activations and how a family writes a box are in the engine.
"""

from __future__ import annotations

from typing import Final

from edgesam_rt.detector_manifest import BOXES, SCORES

COEFFICIENTS: Final = "coefficients"  # (1, D, N): a mask is the sum of prototypes so weighted
PROTOTYPES: Final = "prototypes"  # (1, D, h, w): maps over the picture's square
# BOXES (1, N, 4): left, top, right, bottom in px of the square; SCORES (1, N) in [0, 1].
TENSORS: Final = (BOXES, SCORES, COEFFICIENTS, PROTOTYPES)
LAYOUTS: Final = {
    BOXES: "1_n_xyxy",
    SCORES: "1_n",
    COEFFICIENTS: "1_d_n",
    PROTOTYPES: "1_d_y4_x4",
}

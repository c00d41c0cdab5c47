"""TinySAM: MobileSAM's networks, distilled anew; its decoder never gives the first answer."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from edgesam_engines.families.mobilesam import TinyVitFamily
from edgesam_engines.families.sam_family import DECODER
from edgesam_rt.manifest import DecoderFacts


class TinySam(TinyVitFamily):
    """Official file: tinysam_42.3.pth.

    Upstream returns answers 1 to 3 whatever the prompt; the first mask token was not trained on.
    """

    name: ClassVar[str] = "tinysam"
    decoder: ClassVar[DecoderFacts] = msgspec.structs.replace(DECODER, clear_answer=None)

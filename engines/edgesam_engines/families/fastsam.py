"""FastSAM (Zhao et al. 2023, "Fast Segment Anything"): a user's own ONNX export to one engine.

A YOLOv8-seg network finds all instances of one kind, "object"; prompts choose among them
afterwards, which is the runtime's work (`edgesam_rt/instances`). Weights and upstream's code are
AGPL-3.0; nothing of that code is here. docs/decisions/0024-fastsam.md has the choices.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from edgesam_engines.families.base import GraphSpec
from edgesam_engines.families.fastsam_export import PROTOTYPE_STRIDE, read
from edgesam_engines.families.fastsam_graph import arranged, kept_float
from edgesam_engines.onnx_network import OnnxNetwork
from edgesam_rt.errors import ConfigError
from edgesam_rt.instances.tensors import LAYOUTS, TENSORS
from edgesam_rt.manifest import DecoderFacts, Part, Preprocess


class FastSam:
    """See `families/base.py`; the "model" is the graph itself."""

    name = "fastsam"
    preprocess = Preprocess(
        resize="longest_side",
        resample="linear",
        colour="rgb",
        mean=(0.0, 0.0, 0.0),
        std=(255.0, 255.0, 255.0),
        pad_value=114,
        pad_order="before_normalising",
        input_dtype="uint8",
        layout="nhwc",
        normalised_in_engine=True,
    )
    decoder = DecoderFacts(
        masks=4,
        clear_answer=0,
        ambiguous_answers=(1, 2, 3),
        points_per_prompt=64,
        coordinates="unit",
        mask_stride=PROTOTYPE_STRIDE,
        score_kind="confidence",
        mask_input_broadcasts=True,
        earlier_masks=False,
        cut_multiple=PROTOTYPE_STRIDE,
    )
    layouts: ClassVar[Mapping[str, str]] = LAYOUTS

    def load(self, checkpoint: Path) -> nn.Module:
        """Read an export.

        Raises:
            CheckpointError: it is none of a YOLOv8-seg network.
        """
        export = read(checkpoint)
        remarks: tuple[str, ...] = ()
        if export.classes > 1:
            remarks = (
                f"this network tells {export.classes} classes apart, FastSAM has one: it finds "
                "things of these kinds only, and their names are left out",
            )
        return OnnxNetwork(arranged(export), remarks)

    def encoder_graph(self, model: nn.Module, side: int, *, for_int8: bool) -> GraphSpec:
        """The whole network; one form for all precisions."""
        assert isinstance(model, OnnxNetwork)
        if side != model.side:
            raise ConfigError(f"encoder side {side}: this export is made for {model.side} only.")
        (source,) = (i.name for i in model.graph.graph.input)
        inputs = {source: torch.zeros(1, 3, side, side)}
        return GraphSpec(model, inputs, TENSORS, keep_float=kept_float(model.graph))

    def decoder_graphs(
        self, model: nn.Module, side: int, *, whole: bool = False
    ) -> Mapping[Part, GraphSpec]:
        """None: the runtime chooses among instances without an engine."""
        return {}

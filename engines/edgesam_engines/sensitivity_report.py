"""What INT8 costs an encoder, block by block or operation by operation: the table of a recipe.

Embeddings and masks are those of photos that calibration did not see. Every row is kept as soon as
it is measured, so that an interrupted run goes on where it was.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgesam_engines import calibrate, ptq_judges
from edgesam_engines.encoders import float_encoder
from edgesam_engines.families.table import open_family
from edgesam_engines.ptq import apply as ptq
from edgesam_engines.ptq.blocks import Unit, by_block
from edgesam_engines.ptq.fidelity import reference
from edgesam_engines.ptq.graphs import Progress, copied, spread
from edgesam_engines.ptq.sensitivity import Effect, Sensitivity, sensitivities
from edgesam_engines.ptq.shelf import Shelf
from edgesam_engines.ptq_report import FLOAT, Study, Workshop
from edgesam_rt import bundle as bundles

By = Literal["block", "operation"]


@dataclass(frozen=True)
class Table:
    """What was measured.

    Attributes:
        recipe: its name.
        photos: how many were judged.
        prompts: of the masks.
        whole: everything rounded that the recipe rounds.
        rows: by unit, the largest noise first.
    """

    recipe: str
    photos: int
    prompts: int
    whole: Effect
    rows: list[Sensitivity]

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "recipe": self.recipe,
            "photos": self.photos,
            "prompts": self.prompts,
            "whole": _plain(self.whole),
            "rows": [
                {
                    "name": row.unit.name,
                    "kind": row.unit.kind,
                    "rounded_alone": _plain(row.rounded),
                    "float_alone": _plain(row.spared),
                }
                for row in self.rows
            ],
        }


def run(study: Study, by: By, shelf: Shelf, progress: Progress) -> Table:
    """Measure what each unit costs under the recipe's own settings.

    Raises:
        CheckpointError, CalibrationError, ConfigError: the inputs cannot be used.
    """
    family = open_family(study.recipe.family)
    progress(f"load {study.checkpoint.name}")
    model = family.load(study.checkpoint)
    encoder = float_encoder(family, model, study.side, for_int8=True)
    used, rest = calibrate.chosen_photos(study.photos, study.recipe.calibration)
    judged = spread(rest, study.judged)
    source = ptq.Source(
        encoder.graph, encoder.feeds(used), encoder.keep_float, encoder.known, shelf
    )
    maker = ptq.maker_of(source, study.recipe.calibration, study.recipe.quantization, progress)
    against = reference(maker.source.graph, encoder.feeds(judged))
    with tempfile.TemporaryDirectory(prefix="sensitivity-") as folder:
        shop = Workshop(Path(folder), family, model, encoder, study.recipe)
        progress("masks of the float model")
        shop.write(FLOAT, copied(encoder.graph), None)
        masks = ptq_judges.Masks(bundles.load(shop.folder / FLOAT), study.side, judged)
    bench = maker.bench(study.recipe.quantization.float_layers, against, masks)
    units = bench.operations
    every = {n for unit in units for n in unit.nodes}
    whole = bench.effect(every, "whole")
    rows = sensitivities(bench, _divided(units, by), progress, spare=True)
    masks.close()
    return Table(study.recipe.name, len(judged), masks.prompts, whole, rows)


def _divided(units: Sequence[Unit], by: By) -> list[Unit]:
    return by_block(units) if by == "block" else list(units)


def _plain(effect: Effect | None) -> dict[str, float] | None:
    if effect is None:
        return None
    found = {"noise": effect.noise, "cosine": effect.cosine, "mask_iou": effect.agreement}
    return {name: round(value, 6) for name, value in found.items() if not math.isnan(value)}


def text(table: Table, top: int) -> str:
    """For people: what each unit costs, rounded alone and left float alone."""
    total = sum(row.rounded.noise for row in table.rows) or 1.0
    whole = table.whole
    lines = [
        f"all in INT8: cosine {whole.cosine:.5f}, mask IoU {whole.agreement:.4f} "
        f"({table.prompts} prompts on {table.photos} photos)",
        f"{'':>6}  {'INT8 alone':^18} {'float alone':^18}",
        f"{'share':>6}  {'cosine':>8} {'mask IoU':>9} {'cosine':>8} {'mask IoU':>9}"
        f"  of {len(table.rows)}",
    ]
    for row in table.rows[:top]:
        share = f"{100 * row.rounded.noise / total:5.1f}%"
        cells = [f"{e.cosine:8.5f} {e.agreement:9.4f}" for e in (row.rounded, row.spared) if e]
        lines.append(f"{share}  {' '.join(cells)}  {row.unit.kind} {row.unit.name}")
    return "\n".join(lines) + "\n"

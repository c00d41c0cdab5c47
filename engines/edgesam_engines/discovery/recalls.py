"""Box recall over photos of several sources: AR@10 and AR@100, class-agnostic."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from edgesam_engines.detectors.recall import average_recall, best_ious
from edgesam_rt.types import F32, F64

MOST = (10, 100)


class Recalls:
    """Collects photos; labels need not be exhaustive, so precision is not asked for."""

    def __init__(self) -> None:
        self._ious: dict[int, dict[str, list[F64]]] = {k: defaultdict(list) for k in MOST}

    def add(self, source: str, wanted: F32, found: F32) -> None:
        """One photo.

        Args:
            source: folder it came from.
            wanted: (T, 4) true boxes.
            found: (K, 4) boxes found, best first.
        """
        for k, rows in self._ious.items():
            rows[source].append(best_ious(wanted, found[:k]))

    def report(self, apart: tuple[str, ...] = ()) -> dict[str, Any]:
        """Average recall over all boxes, over those of the sources `apart`, and by source."""
        sources = sorted(self._ious[MOST[0]])
        by_source = {s: self._over([s]) for s in sources}
        report = {"all": self._over(sources)}
        if named := [s for s in sources if s in apart]:
            report["coco"] = self._over(named)
            report["others"] = self._over([s for s in sources if s not in apart])
        means = [f"ar@{k}" for k in MOST]
        report["mean_of_sources"] = {
            m: round(float(np.mean([row[m] for row in by_source.values()])), 4)
            for m in means
            if by_source
        }
        return {**report, "by_source": by_source}

    def _over(self, sources: list[str]) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for k, found in self._ious.items():
            parts = [ious for s in sources for ious in found[s]]
            ious = np.concatenate(parts) if parts else np.zeros(0)
            row |= {"boxes": len(ious), f"ar@{k}": round(average_recall(ious), 4)}
        return row

"""Sizes of lines and letters that fit a picture, and text in a box."""

from __future__ import annotations

from dataclasses import dataclass

from edgesam_rt.drawing.palette import Rgb
from edgesam_rt.types import U8

_BASE_SIDE = 640  # px: pictures of this side are drawn with unit sizes


@dataclass(frozen=True)
class Pens:
    """Sizes for one picture size, px unless said otherwise.

    Attributes:
        line: width of an outline.
        rim: width of the dark rim on each side of what is drawn.
        radius: of a point of a prompt.
        scale: of letters, in OpenCV's own unit.
        stroke: width of letters' lines.
        text_h: height of a line of text.
    """

    line: int
    rim: int
    radius: int
    scale: float
    stroke: int
    text_h: int

    @classmethod
    def for_side(cls, side: int) -> Pens:
        """Sizes for a picture whose relevant side is `side` px."""
        unit = min(max(side / _BASE_SIDE, 0.5), 16.0)
        scale = max(0.5 * unit, 0.4)
        return cls(
            line=max(1, round(2 * unit)),
            rim=max(1, round(unit)),
            radius=max(5, round(8 * unit)),
            scale=scale,
            stroke=max(1, round(1.1 * unit)),
            text_h=round(32 * scale),
        )

    def fine(self) -> Pens:
        """Thinner lines and smaller letters, for many objects."""
        scale = max(0.75 * self.scale, 0.33)
        return Pens(
            line=max(1, self.line // 2),
            rim=max(1, self.rim // 2),
            radius=self.radius,
            scale=scale,
            stroke=max(1, round(0.7 * self.stroke)),
            text_h=round(30 * scale),
        )

    def text_width(self, text: str) -> int:
        """Width of a text, px."""
        import cv2

        (width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, self.scale, self.stroke)
        return int(width)

    def write(self, canvas: U8, text: str, left_top: tuple[int, int], ink: Rgb) -> None:
        """Write one line of ASCII into an RGB picture; `left_top` is the corner of its line."""
        import cv2

        x, y = left_top
        base = y + round(self.text_h * 0.8)
        font, scale, stroke = cv2.FONT_HERSHEY_SIMPLEX, self.scale, self.stroke
        cv2.putText(canvas, text, (x, base), font, scale, ink, stroke, cv2.LINE_AA)


def ascii_only(text: str) -> str:
    """Return a text with what OpenCV's letters lack as question marks."""
    return text.encode("ascii", "replace").decode("ascii")

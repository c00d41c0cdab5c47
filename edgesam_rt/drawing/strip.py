"""The timing strip below a picture: where the milliseconds of this frame went."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgesam_rt.drawing.palette import DARK, WHITE, Rgb
from edgesam_rt.drawing.pens import Pens, ascii_only
from edgesam_rt.records import Result
from edgesam_rt.types import U8

MIN_WIDTH = 160  # px: narrower pictures get no strip

_GREY: Rgb = (150, 150, 155)
_ENCODE: Rgb = (86, 180, 233)
_DECODE: Rgb = (240, 228, 66)
_MASK: Rgb = (204, 121, 167)


@dataclass(frozen=True)
class _Piece:
    """A few words of the strip.

    Attributes:
        text: what is written.
        room: the widest text that place is kept for, so that lines break alike in every frame.
        mark: the colour of its share of the bar, or None.
    """

    text: str
    room: str
    mark: Rgb | None = None


def height(result: Result) -> int:
    """Return how many rows the strip needs: the same for all frames of one width and backend."""
    width = result.frame.image_hw[1]
    if width < MIN_WIDTH:
        return 0
    pens = Pens.for_side(width)
    return _bar_h(pens) + len(_lines(_pieces(result, None), pens, width)) * pens.text_h + pens.rim


def draw(canvas: U8, result: Result, fps: float | None) -> None:
    """Draw the strip into an RGB picture of `height(result)` rows."""
    width = canvas.shape[1]
    pens = Pens.for_side(width)
    canvas[:] = DARK
    _draw_bar(canvas[: _bar_h(pens)], result)
    y = _bar_h(pens)
    for line in _lines(_pieces(result, fps), pens, width):
        for x, piece in line:
            if piece.mark is not None:
                side = pens.text_h // 3
                canvas[y + side : y + 2 * side, x : x + side] = piece.mark
            pens.write(canvas, piece.text, (x + _mark_w(piece, pens), y), WHITE)
        y += pens.text_h


def _bar_h(pens: Pens) -> int:
    return 4 * pens.rim


def _mark_w(piece: _Piece, pens: Pens) -> int:
    return 0 if piece.mark is None else pens.text_h // 2


def _shares(result: Result) -> list[tuple[str, float, Rgb]]:
    """Name, milliseconds and colour of each share of the age."""
    t = result.timings
    named = [("encode", t.encode_ms, _ENCODE), ("decode", t.decode_ms, _DECODE)]
    named.append(("mask", t.mask_ms, _MASK))
    rest = t.age_ms - sum(ms for _, ms, _ in named)
    return [*named, ("rest", max(rest, 0.0), _GREY)]


def _draw_bar(canvas: U8, result: Result) -> None:
    """Fill a row of colours, each as long as its share of the time."""
    width = canvas.shape[1]
    shares = [(ms, mark) for _, ms, mark in _shares(result) if math.isfinite(ms) and ms > 0]
    total = sum(ms for ms, _ in shares)
    passed = 0.0
    for ms, mark in shares:
        start, passed = passed, passed + ms
        canvas[:, round(start / total * width) : round(passed / total * width)] = mark


def _pieces(result: Result, fps: float | None) -> list[_Piece]:
    pieces = [_Piece(f"age {_ms(result.timings.age_ms)} ms", "age 888 ms")]
    pieces += [
        _Piece(f"{name} {_ms(ms)}", f"{name} 88.8", mark) for name, ms, mark in _shares(result)
    ]
    lost = sum(result.dropped.values())
    fixed = [ascii_only(result.backend), f"{result.encoder_side} px"]
    pieces += [_Piece(text, text) for text in fixed if text]
    pieces.append(_Piece(f"step {result.ladder_step}", "step 8"))
    pieces.append(_Piece(f"dropped {lost}", "dropped 88"))
    pieces.append(_Piece("" if fps is None else f"{fps:.1f} fps", "88.8 fps"))
    return pieces


def _ms(value: float) -> str:
    """Milliseconds in at most four characters or so."""
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def _lines(pieces: list[_Piece], pens: Pens, width: int) -> list[list[tuple[int, _Piece]]]:
    """Break pieces into lines; each piece with its left edge, px."""
    margin = pens.text_h // 2
    lines: list[list[tuple[int, _Piece]]] = []
    x = width
    for piece in pieces:
        room = _mark_w(piece, pens) + max(map(pens.text_width, (piece.room, piece.text)))
        if not lines or x + room > width:
            lines.append([])
            x = margin
        lines[-1].append((x, piece))
        x += room + margin
    return lines

"""Colours that can be told apart, the same for an object in every frame."""

from __future__ import annotations

import colorsys
import functools

Rgb = tuple[int, int, int]

WHITE: Rgb = (255, 255, 255)
DARK: Rgb = (18, 18, 20)

# The first objects: told apart with any kind of colour vision, and no two neighbours of like
# lightness. Source: Okabe and Ito 2008, "Color Universal Design"; black is left out.
_FIRST: tuple[Rgb, ...] = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (213, 94, 0),  # vermilion
    (0, 114, 178),  # blue
    (204, 121, 167),  # reddish purple
)
_GOLDEN = 0.618033988749895  # steps of this part of a circle never fall together
_FIRST_HUE = 0.68  # of a circle: chosen so that objects 8 to 40 differ most from those before
_LIGHTNESS = (0.78, 0.42, 0.62)  # lightness differs too, for those who see few hues


@functools.lru_cache(maxsize=1024)
def colour(object_id: int) -> Rgb:
    """Return an object's colour: red, green, blue, each 0 to 255; a function of the id alone."""
    index = object_id - 1
    if 0 <= index < len(_FIRST):
        return _FIRST[index]
    lightness = _LIGHTNESS[object_id % len(_LIGHTNESS)]
    hue = (object_id * _GOLDEN + _FIRST_HUE) % 1.0
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.85)
    return round(red * 255), round(green * 255), round(blue * 255)


def ink_on(ground: Rgb) -> Rgb:
    """Return white or nearly black, whichever reads better on a ground.

    Source of the luminance: WCAG 2.1, "relative luminance"; the cut is where both contrasts agree.
    """
    linear = [((v / 255 + 0.055) / 1.055) ** 2.4 if v > 10 else v / 3295 for v in ground]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return DARK if luminance > 0.18 else WHITE

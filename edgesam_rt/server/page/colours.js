// An object's colour: the same as edgesam_rt/drawing/palette.py; a test compares them.
const FIRST = [[230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [213, 94, 0], [0, 114, 178], [204, 121, 167]];
const GOLDEN = 0.618033988749895, FIRST_HUE = 0.68, LIGHTNESS = [0.78, 0.42, 0.62], SATURATION = 0.85;

/** Red, green and blue, 0 to 255, of an object's id. */
export function colour(id) {
  if (id >= 1 && id <= FIRST.length) return FIRST[id - 1];
  return fromHls((id * GOLDEN + FIRST_HUE) % 1, LIGHTNESS[id % LIGHTNESS.length], SATURATION);
}

/** The same for CSS. */
export function css(id) {
  return `rgb(${colour(id).join(" ")})`;
}

/** Black or white, whichever reads better on an object's colour. */
export function ink(id) {
  const [r, g, b] = colour(id).map((v) => (v > 10 ? ((v / 255 + 0.055) / 1.055) ** 2.4 : v / 3295));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#121214" : "#fff";
}

function fromHls(hue, light, saturation) {
  const high = light <= 0.5 ? light * (1 + saturation) : light + saturation - light * saturation;
  const low = 2 * light - high;
  const part = (h) => {
    h = ((h % 1) + 1) % 1;
    if (h < 1 / 6) return low + (high - low) * h * 6;
    if (h < 1 / 2) return high;
    return h < 2 / 3 ? low + (high - low) * (2 / 3 - h) * 6 : low;
  };
  return [hue + 1 / 3, hue, hue - 1 / 3].map((h) => Math.round(part(h) * 255));
}

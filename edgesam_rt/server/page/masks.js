// Masks from COCO's run lengths to a picture with transparent ground.
import { colour } from "./colours.js";

const MOST_PIXELS = 1.5e6; // larger pictures get masks of a coarser grid
const TINT = 0.45; // of the fill; the rest is the picture

/** Run lengths of COCO's compressed text: zeros first, column by column. */
export function runs(text) {
  const out = [];
  for (let at = 0; at < text.length; ) {
    let value = 0, shift = 0, part;
    do {
      part = text.charCodeAt(at++) - 48;
      value |= (part & 31) << shift;
      shift += 5;
    } while (part & 32);
    if (part & 16) value |= -1 << shift;
    out.push(out.length > 2 ? value + out[out.length - 2] : value);
  }
  return out;
}

/** Draws the masks of results, each time into the same canvas. */
export class MaskPainter {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d");
    this.image = null;
  }

  /** Paint the objects of a result, the largest first, so that small ones stay visible. */
  paint(row) {
    const [high, wide] = row.image_hw;
    const step = Math.max(1, Math.ceil(Math.sqrt((high * wide) / MOST_PIXELS)));
    this.resize(Math.ceil(wide / step), Math.ceil(high / step));
    const pixels = new Uint32Array(this.image.data.buffer);
    pixels.fill(0);
    const inOrder = row.objects.filter((each) => each.area).sort((a, b) => b.area - a.area);
    for (const each of inOrder) this.fill(pixels, each, high, step);
    this.context.putImageData(this.image, 0, 0);
    return this.canvas;
  }

  resize(wide, high) {
    if (this.image && this.image.width === wide && this.image.height === high) return;
    this.canvas.width = wide;
    this.canvas.height = high;
    this.image = this.context.createImageData(wide, high);
    this.inside = new Uint8Array(wide * high);
  }

  fill(pixels, object, high, step) {
    const { width, height } = this.image, inside = this.inside;
    inside.fill(0);
    let at = 0;
    runs(object.rle.counts).forEach((length, i) => {
      if (i % 2) markRun(inside, at, at + length, high, step, width);
      at += length;
    });
    const [r, g, b] = colour(object.id);
    const soft = rgba(r, g, b, Math.round(TINT * 255)), hard = rgba(r, g, b, 255);
    const [x0, y0, x1, y1] = object.box_xyxy.map((v) => Math.floor(v / step));
    for (let y = y0; y <= Math.min(y1, height - 1); y++)
      for (let x = x0, p = y * width + x0; x <= Math.min(x1, width - 1); x++, p++)
        if (inside[p]) pixels[p] = isEdge(inside, p, x, y, width, height) ? hard : soft;
  }
}

/** Marks the pixels of a run on a grid of every step-th pixel. */
function markRun(inside, from, to, high, step, width) {
  while (from < to) {
    const x = Math.floor(from / high), top = from - x * high, end = Math.min(to - x * high, high);
    if (x % step === 0)
      for (let y = Math.ceil(top / step); y * step < end; y++) inside[y * width + x / step] = 1;
    from = (x + 1) * high;
  }
}

function isEdge(inside, p, x, y, width, height) {
  return !((x && inside[p - 1]) && (x + 1 < width && inside[p + 1]) && (y && inside[p - width]) && (y + 1 < height && inside[p + width]));
}

function rgba(r, g, b, a) {
  return ((a << 24) | (b << 16) | (g << 8) | r) >>> 0; // little-endian, as all boards and phones are
}

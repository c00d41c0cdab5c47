// The picture with its masks, as large as fits, sharp on every screen; and the way back to pixels.
import { css, ink } from "./colours.js";
import { MaskPainter } from "./masks.js";

const FEW = 12; // so many objects get tags

export class View {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.painter = new MaskPainter();
    this.row = this.bitmap = this.masks = this.band = this.cursor = this.pending = null;
    this.selected = null;
    new ResizeObserver(() => this.fitCanvas()).observe(canvas);
  }

  /** Show a result on its picture. */
  show(row, bitmap) {
    this.bitmap?.close();
    this.bitmap = bitmap;
    this.row = row;
    this.masks = row.objects.length ? this.painter.paint(row) : null;
    this.draw();
  }

  /** Change what is drawn beside the result: selected, band, cursor, pending. */
  set(changes) {
    Object.assign(this, changes);
    this.draw();
  }

  fitCanvas() {
    const ratio = window.devicePixelRatio || 1, { clientWidth, clientHeight } = this.canvas;
    this.canvas.width = Math.max(1, Math.round(clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(clientHeight * ratio));
    this.draw();
  }

  /** Where the picture lies in the canvas, in CSS pixels, and its scale. */
  place() {
    if (!this.row) return null;
    const [high, wide] = this.row.image_hw, { clientWidth, clientHeight } = this.canvas;
    const scale = Math.min(clientWidth / wide, clientHeight / high);
    return { scale, left: (clientWidth - wide * scale) / 2, top: (clientHeight - high * scale) / 2, wide, high };
  }

  /** A point of the window in pixels of the picture; null outside it, or its nearest with `clamp`. */
  toPicture(clientX, clientY, clamp = false) {
    const at = this.place();
    if (!at) return null;
    const box = this.canvas.getBoundingClientRect();
    const x = (clientX - box.left - at.left) / at.scale, y = (clientY - box.top - at.top) / at.scale;
    const isInside = x >= 0 && y >= 0 && x <= at.wide && y <= at.high;
    if (!isInside && !clamp) return null;
    return { x: Math.min(Math.max(x, 0), at.wide), y: Math.min(Math.max(y, 0), at.high) };
  }

  draw() {
    const { context, canvas } = this, at = this.place();
    const ratio = canvas.width / (canvas.clientWidth || 1);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!at || !this.bitmap) return;
    context.setTransform(ratio, 0, 0, ratio, at.left * ratio, at.top * ratio);
    const wide = at.wide * at.scale, high = at.high * at.scale;
    context.drawImage(this.bitmap, 0, 0, wide, high);
    if (this.masks) context.drawImage(this.masks, 0, 0, wide, high);
    const objects = this.row.objects;
    for (const each of objects) this.drawPrompt(each, at.scale);
    if (objects.length <= FEW) for (const each of objects) this.drawTag(each, at.scale);
    this.drawTools(at.scale);
  }

  drawPrompt(object, scale) {
    const points = object.prompt?.point_coords ?? [];
    if (!this.row.objects.length || this.row.completeness !== undefined) return;
    points.forEach(([x, y], i) => this.drawPoint(x * scale, y * scale, object.prompt.point_labels[i] === 1, css(object.id)));
    if (object.id === this.selected && object.area) this.drawBox(object.box_xyxy.map((v) => v * scale), css(object.id), [6, 4]);
  }

  drawPoint(x, y, isOn, colour) {
    const { context } = this;
    context.beginPath();
    context.arc(x, y, 7, 0, 7);
    context.fillStyle = isOn ? colour : "#b3261e";
    context.fill();
    context.lineWidth = 2;
    context.strokeStyle = "#fff";
    context.stroke();
    context.beginPath();
    context.moveTo(x - 3.5, y);
    context.lineTo(x + 3.5, y);
    if (isOn) context.moveTo(x, y - 3.5), context.lineTo(x, y + 3.5);
    context.stroke();
  }

  drawTag(object, scale) {
    const box = object.area ? object.box_xyxy : object.last_box_xyxy;
    if (!box) return;
    const { context } = this, state = object.state && object.state !== "tracked" ? ` ${object.state}` : "";
    const text = `${object.id}${state}`;
    context.font = "600 13px system-ui, sans-serif";
    const wide = context.measureText(text).width + 12;
    const x = Math.max(0, box[0] * scale), y = Math.max(0, box[1] * scale - 22);
    context.fillStyle = css(object.id);
    context.beginPath();
    context.roundRect(x, y, wide, 20, 5);
    context.fill();
    context.fillStyle = ink(object.id);
    context.textBaseline = "middle";
    context.fillText(text, x + 6, y + 10.5);
  }

  drawBox([x0, y0, x1, y1], colour, dash) {
    const { context } = this;
    context.setLineDash([]);
    context.strokeStyle = "rgb(0 0 0 / .6)";
    context.lineWidth = 4;
    context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    context.setLineDash(dash);
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.strokeRect(x0, y0, x1 - x0, y1 - y0);
    context.setLineDash([]);
  }

  drawTools(scale) {
    const { context } = this;
    if (this.band) this.drawBox(this.band.map((v) => v * scale), "#fff", [5, 4]);
    if (this.pending) this.drawPoint(this.pending.x * scale, this.pending.y * scale, this.pending.isOn, "rgb(255 255 255 / .45)");
    if (!this.cursor) return;
    const x = this.cursor.x * scale, y = this.cursor.y * scale;
    for (const [width, colour] of [[4, "#000"], [2, "#fff"]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.beginPath();
      context.moveTo(x - 14, y), context.lineTo(x + 14, y), context.moveTo(x, y - 14), context.lineTo(x, y + 14);
      context.stroke();
    }
  }
}

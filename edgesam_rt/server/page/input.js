// Mouse, touch, pen and keys to points and boxes in pixels of the picture.

const DRAG = 8; // CSS pixels: less is a tap with an unsteady hand
const STEP = 0.02; // of the picture: one press of an arrow key

/** Calls `point(xy, isShifted)`, `box([x0, y0, x1, y1])` and `remove()`. */
export class Input {
  constructor(view, calls) {
    Object.assign(this, { view, calls, from: null, corner: null });
    const canvas = view.canvas;
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointercancel", () => this.giveUp());
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => this.giveUp());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  press(event) {
    if (event.button !== 0 || !event.isPrimary) return;
    const at = this.view.toPicture(event.clientX, event.clientY);
    if (!at) return;
    this.from = { at, x: event.clientX, y: event.clientY, isDrag: false };
    this.view.canvas.setPointerCapture(event.pointerId);
    this.view.set({ cursor: null });
  }

  move(event) {
    if (!this.from || !event.isPrimary) return;
    const far = Math.hypot(event.clientX - this.from.x, event.clientY - this.from.y);
    this.from.isDrag ||= far > DRAG;
    if (this.from.isDrag) this.view.set({ band: this.band(this.view.toPicture(event.clientX, event.clientY, true)) });
  }

  release(event) {
    if (!this.from || !event.isPrimary) return;
    const { at, isDrag } = this.from, band = this.view.band;
    this.giveUp();
    if (isDrag && band) this.box(band);
    else if (!isDrag) this.calls.point(at, event.shiftKey);
  }

  /** The box from where it began to a point, its corners in order. */
  band(to, from = this.from.at) {
    return [Math.min(from.x, to.x), Math.min(from.y, to.y), Math.max(from.x, to.x), Math.max(from.y, to.y)];
  }

  box(band) {
    if (band[2] - band[0] >= 1 && band[3] - band[1] >= 1) this.calls.box(band);
  }

  giveUp() {
    this.from = this.corner = null;
    this.view.set({ band: null });
  }

  key(event) {
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const place = this.view.place();
    if (!place) return;
    const cursor = this.view.cursor ?? { x: place.wide / 2, y: place.high / 2 };
    if (arrows[event.key]) this.step(cursor, arrows[event.key], place);
    else if (event.key === "Enter") this.enter(cursor, event.shiftKey);
    else if (event.key === "b" || event.key === "B") this.mark(cursor);
    else if (event.key === "Escape") this.view.set({ cursor: null }), this.giveUp();
    else if (event.key === "Delete" || event.key === "Backspace") this.calls.remove();
    else return;
    event.preventDefault();
  }

  step(cursor, [dx, dy], { wide, high }) {
    const by = STEP * Math.max(wide, high);
    const to = { x: Math.min(Math.max(cursor.x + dx * by, 0), wide), y: Math.min(Math.max(cursor.y + dy * by, 0), high) };
    this.view.set({ cursor: to, band: this.corner && this.band(to, this.corner) });
  }

  enter(cursor, isShifted) {
    this.view.set({ cursor });
    if (this.corner) this.mark(cursor);
    else this.calls.point(cursor, isShifted);
  }

  mark(cursor) {
    if (!this.corner) {
      this.corner = cursor;
      return this.view.set({ cursor, band: this.band(cursor, cursor) });
    }
    const band = this.band(cursor, this.corner);
    this.giveUp();
    this.box(band);
  }
}

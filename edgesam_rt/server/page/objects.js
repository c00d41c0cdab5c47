// The list of objects.
import { css } from "./colours.js";

/** Calls `select(id)` and `remove(id)`. */
export class ObjectList {
  constructor(list, calls) {
    Object.assign(this, { list, calls, items: new Map() });
  }

  /** Show what is asked for and how each stands; items stay, so that focus does. */
  show(objects, selected, isResting) {
    const ids = new Set(objects.map((each) => each.id));
    for (const [id, item] of this.items) if (!ids.has(id)) item.remove(), this.items.delete(id);
    for (const each of objects) {
      const item = this.items.get(each.id) ?? this.add(each.id);
      item.toggleAttribute("data-selected", each.id === selected);
      const [name, state] = item.querySelector(".name").children;
      name.textContent = `Object ${each.id}`;
      state.textContent = isResting ? "resting" : describe(each);
      state.classList.toggle("lost", each.state === "lost");
      item.querySelector(".name").setAttribute("aria-pressed", String(each.id === selected));
    }
  }

  add(id) {
    const item = document.createElement("li");
    const swatch = document.createElement("span"), name = document.createElement("button"), remove = document.createElement("button");
    item.dataset.id = id;
    swatch.className = "swatch";
    swatch.style.setProperty("--colour", css(id));
    name.className = "name";
    name.append(document.createElement("span"), document.createElement("small"));
    name.addEventListener("click", () => this.calls.select(id));
    remove.className = "remove";
    remove.textContent = "✕";
    remove.setAttribute("aria-label", `Remove object ${id}`);
    remove.addEventListener("click", () => this.calls.remove(id));
    item.append(swatch, name, remove);
    this.list.append(item);
    this.items.set(id, item);
    return item;
  }
}

function describe(object) {
  if (!object.state) return "waiting";
  if (object.state === "lost") return "lost";
  const score = object.predicted_iou === null ? "" : ` ${object.predicted_iou.toFixed(2)}`;
  return object.state === "re-acquired" ? `re-acquired${score}` : score.trim() || object.state;
}

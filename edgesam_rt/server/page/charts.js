// Charts of the last minute: latency of every result, and the ladder's step.

const SPAN_S = 60;

/** Draw ages in milliseconds, with the budget as a line. */
export function drawLatency(canvas, status) {
  const points = status.recent.filter((p) => p.at_s >= -SPAN_S);
  const ages = points.map((p) => p.age_ms).sort((a, b) => a - b);
  const budget = status.budget_ms || 0;
  const top = nice(Math.max(quantile(ages, 0.99) * 1.15, budget * 1.2, 1));
  const pen = begin(canvas, top, " ms");
  if (budget) pen.level(budget, "--bad", [4, 4]);
  pen.dots(points.map((p) => [p.at_s, Math.min(p.age_ms, top)]), "--accent");
  const p50 = quantile(ages, 0.5), p95 = quantile(ages, 0.95);
  if (ages.length) {
    pen.level(p50, "--good", []);
    pen.level(p95, "--warn", []);
    pen.label(`p50 ${p50.toFixed(0)}   p95 ${p95.toFixed(0)} ms${budget ? `   budget ${budget.toFixed(0)}` : ""}`);
  }
  canvas.setAttribute("aria-label", ages.length ? `Latency of the last minute: median ${p50.toFixed(0)}, 95th percentile ${p95.toFixed(0)} milliseconds` : "Latency: no result in the last minute");
}

/** Draw the ladder's step over time. */
export function drawLadder(canvas, status) {
  const steps = status.steps, now = status.ladder_step ?? 0;
  const top = Math.max(1, ...steps.map((s) => s.ladder_step));
  const pen = begin(canvas, top, "");
  pen.stairs(steps.map((s) => [s.at_s, s.ladder_step]), "--accent");
  canvas.setAttribute("aria-label", `Ladder step ${now} now; highest in the last minute ${Math.max(now, ...steps.filter((s) => s.at_s >= -SPAN_S).map((s) => s.ladder_step))}`);
}

function begin(canvas, top, unit) {
  const ratio = window.devicePixelRatio || 1, wide = canvas.clientWidth, high = canvas.clientHeight;
  canvas.width = Math.max(1, Math.round(wide * ratio));
  canvas.height = Math.max(1, Math.round(high * ratio));
  const context = canvas.getContext("2d"), style = getComputedStyle(canvas);
  context.scale(ratio, ratio);
  context.font = "11px system-ui, sans-serif";
  const left = context.measureText(`${top}${unit}`).width + 8, bottom = high - 5, upper = 16;
  const colour = (name) => style.getPropertyValue(name);
  const x = (at) => left + (1 + Math.max(at, -SPAN_S) / SPAN_S) * (wide - left - 2);
  const y = (value) => bottom - (value / top) * (bottom - upper);
  const line = (from, to, ink, dash = []) => {
    context.strokeStyle = colour(ink);
    context.setLineDash(dash);
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
    context.setLineDash([]);
  };
  context.fillStyle = colour("--soft");
  for (const value of [0, top]) {
    context.textAlign = "right";
    context.fillText(`${value}${value ? unit : ""}`, left - 5, y(value) + (value ? 4 : 0));
    line([left, y(value)], [wide, y(value)], "--line");
  }
  return {
    level: (value, ink, dash) => line([left, y(value)], [wide, y(value)], ink, dash),
    dots: (points, ink) => {
      context.fillStyle = colour(ink);
      for (const [at, value] of points) context.fillRect(x(at) - 1, y(value) - 1, 2, 2);
    },
    stairs: (points, ink) => {
      context.strokeStyle = colour(ink);
      context.lineWidth = 2;
      context.beginPath();
      points.forEach(([at, value], i) => {
        const before = i ? points[i - 1][1] : value;
        if (i) context.lineTo(x(at), y(before));
        else context.moveTo(x(at), y(value));
        context.lineTo(x(at), y(value));
      });
      if (points.length) context.lineTo(x(0), y(points.at(-1)[1]));
      context.stroke();
      context.lineWidth = 1;
    },
    label: (text) => {
      context.fillStyle = colour("--ink");
      context.textAlign = "right";
      context.fillText(text, wide - 2, 11);
    },
  };
}

function quantile(sorted, q) {
  return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] : 0;
}

function nice(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((n) => n * unit).find((n) => n >= value);
}

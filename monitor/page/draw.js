// Graphs as SVG: lines over the last minutes, and the timeline of what is stored, pending, lost. No state.
import { svg } from "./format.js";

function ceiling(most) {
  for (let step = 1e-3; ; step *= 10) for (const m of [1, 2, 5]) if (most <= m * step) return m * step;
}

// A line over its area; null values are holes. `most`: the least value of the upper edge.
export function line(target, values, { width = 160, height = 40, most = 1, label = "" } = {}) {
  const known = values.filter((v) => v !== null);
  const top = ceiling(Math.max(most, ...known) * 1.05);
  const x = (i) => (values.length < 2 ? width : (i / (values.length - 1)) * width);
  const y = (v) => height - 2 - (v / top) * (height - 5);
  let stroke = "", area = "", start = null, last = null;
  const close = () => { if (start !== null) area += `L${x(last).toFixed(1)} ${height}L${x(start).toFixed(1)} ${height}Z`; start = null; };
  values.forEach((v, i) => {
    if (v === null) return close();
    const at = `${x(i).toFixed(1)} ${y(v).toFixed(1)}`;
    stroke += (start === null ? "M" : "L") + at;
    area += (start === null ? "M" : "L") + at;
    if (start === null) start = i;
    last = i;
  });
  close();
  target.setAttribute("viewBox", `0 0 ${width} ${height}`);
  target.setAttribute("preserveAspectRatio", "none");
  target.setAttribute("aria-label", label);
  target.replaceChildren(
    svg("path", { class: "area", d: area }),
    svg("path", { class: "line", d: stroke, fill: "none", "vector-effect": "non-scaling-stroke" }));
}

// A bar of time. `parts`: {from, to, kind}, in ms; what no part covers is stored.
export function timeline(target, from, to, parts, label) {
  const width = 1000, height = 12;
  const x = (ms) => Math.min(width, Math.max(0, ((ms - from) / (to - from)) * width));
  const shapes = parts.filter((p) => p.to >= from && p.from <= to).map((p) => {
    const left = x(p.from), right = Math.max(x(p.to), left + 5);
    return svg("rect", { class: p.kind, x: left.toFixed(1), y: 0, width: (right - left).toFixed(1), height });
  });
  target.setAttribute("viewBox", `0 0 ${width} ${height}`);
  target.setAttribute("preserveAspectRatio", "none");
  target.setAttribute("aria-label", label);
  target.replaceChildren(svg("rect", { class: "stored", x: 0, y: 0, width, height }), ...shapes);
}

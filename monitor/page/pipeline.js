// The pipeline drawn as it is: cameras, the processes of each stage, the endpoint, and what flows between them.
import { endpointName, rate, state, streamWord, svg } from "./format.js";

const STAGES = ["capture", "encoder", "muxer", "uploader"];
const NODES_SHOWN = 10; // of a column; more are one box, but for those in trouble

function stateOfStream(s) {
  return state(streamWord(s));
}

// A process of one stream alone goes by the stream's name.
function nameIn(stage, instance, streams) {
  const rest = instance.slice(stage.length + 1);
  return streams.some((s) => s.name === rest) ? rest : instance;
}

function level(nodes) {
  return nodes.some((n) => n.level === "bad") ? "bad" : nodes.some((n) => n.level === "warn") ? "warn" : "ok";
}

// A long column: those in trouble by themselves, the others in one box.
function shorten(nodes, what) {
  if (nodes.length <= NODES_SHOWN) return nodes;
  const trouble = nodes.filter((n) => n.level !== "ok").slice(0, NODES_SHOWN - 1), rest = nodes.filter((n) => !trouble.includes(n));
  const good = rest.filter((n) => n.level === "ok").length;
  return [...trouble, { id: `all:${what}`, ids: rest.map((n) => n.id), title: `${rest.length} ${what}`, note: `${good} ${rest[0]?.note.toLowerCase() ?? ""}`, level: level(rest) }];
}

// {name, nodes: [{id, ids, title, note, level}]} from cameras to the endpoint.
function columns(status) {
  const all = status.streams;
  const cameras = all.map((s) => ({ id: `cam:${s.name}`, title: s.name, note: stateOfStream(s).text, level: stateOfStream(s).level }));
  const list = [{ name: "Cameras", nodes: shorten(cameras, "cameras") }];
  for (const stage of STAGES) {
    const nodes = status.stages.filter((p) => p.stage === stage).map((p) => ({ id: p.instance, title: nameIn(stage, p.instance, all), note: state(p.state).text, level: state(p.state).level }));
    list.push({ name: stage[0].toUpperCase() + stage.slice(1), nodes: shorten(nodes, "processes") });
  }
  const server = status.stages.find((p) => p.stage === "server"), end = endpointName(status);
  list.push({ name: "Endpoint", nodes: [{ id: "end", ...end, note: server ? state(server.state).text : end.note, level: server ? state(server.state).level : "ok" }] });
  return list;
}

// Who passes a stream on to whom, with what flows. `place`: which box of a column something is in.
function links(status, place) {
  const found = new Map();
  const stageOf = new Map(status.stages.map((p) => [p.instance, p.stage]));
  const add = (a, b, column, flow) => {
    const from = place(column, a), to = place(column + 1, b);
    const key = `${column} ${from} ${to}`, l = found.get(key) || { from, to, column, fps: 0, kbit: 0, live: false };
    l.fps += flow.fps;
    l.kbit += flow.kbit;
    l.live = l.live || flow.fps > 0.1 || flow.kbit > 1;
    found.set(key, l);
  };
  for (const s of status.streams) {
    let from = `cam:${s.name}`, column = 0;
    let flow = { fps: s.frames_per_s, kbit: 0 };
    STAGES.forEach((stage, i) => {
      const here = Object.keys(s.stages).filter((instance) => stageOf.get(instance) === stage);
      const at = here.find((instance) => s.stages[instance].state === "live") || here[0];
      if (!at || column !== i) return;
      add(from, at, column, flow);
      flow = { fps: s.stages[at].frames_per_s, kbit: s.stages[at].kbit_per_s };
      from = at;
      column = i + 1;
    });
    if (column === STAGES.length) add(from, "end", column, { fps: 0, kbit: s.kbit_per_s });
  }
  return [...found.values()];
}

function flowText(list) {
  const fps = list.reduce((sum, l) => sum + l.fps, 0), kbit = list.reduce((sum, l) => sum + l.kbit, 0);
  if (!list.length) return "";
  return [fps > 0 ? `${Math.round(fps)} frames/s` : "", kbit > 0 ? rate(kbit) : ""].filter(Boolean).join(" · ") || "nothing flows";
}

function cut(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function node(n, x, y, width, height) {
  const g = svg("g", { class: "node", "data-level": n.level, transform: `translate(${x} ${y})` });
  g.append(svg("title", {}, `${n.title}: ${n.note}`),
    svg("rect", { width, height, rx: 9 }),
    svg("rect", { class: "edge", x: 6, y: 8, width: 3, height: height - 16, rx: 1.5 }),
    svg("text", { class: "name", x: 16, y: 18 }, cut(n.title, Math.floor((width - 20) / 7))),
    svg("text", { class: "note", x: 16, y: 34 }, cut(n.note, Math.floor((width - 20) / 6.2))));
  return g;
}

function wide(target, cols, flows, width) {
  const gap = Math.max(56, Math.min(110, (width - 6 * 132) / 5)), w = (width - gap * 5) / 6, h = 42, pitch = 54, head = 58;
  const rows = Math.max(...cols.map((c) => c.nodes.length)), height = head + rows * pitch;
  const place = new Map(), shapes = [];
  cols.forEach((c, k) => {
    const x = k * (w + gap), first = head + ((rows - c.nodes.length) * pitch) / 2;
    shapes.push(svg("text", { class: "stage", x, y: 14 }, c.name));
    const text = flowText(flows.filter((l) => l.column === k));
    if (text) text.split(" · ").forEach((part, i) => shapes.push(svg("text", { class: "flow", x: x + w + gap / 2, y: 32 + i * 13, "text-anchor": "middle" }, part)));
    c.nodes.forEach((n, i) => {
      place.set(`${k} ${n.id}`, { x, y: first + i * pitch });
      shapes.push(node(n, x, first + i * pitch, w, h));
    });
  });
  const at = (column, id) => place.get(`${column} ${id}`);
  const lines = flows.filter((l) => at(l.column, l.from) && at(l.column + 1, l.to)).map((l) => {
    const a = at(l.column, l.from), b = at(l.column + 1, l.to), x1 = a.x + w, y1 = a.y + h / 2, x2 = b.x, y2 = b.y + h / 2, m = (x1 + x2) / 2;
    return svg("path", { class: l.live ? "flowline" : "flowline dead", d: `M${x1} ${y1}C${m} ${y1} ${m} ${y2} ${x2} ${y2}` }, svg("title", {}, `${l.from} to ${l.to}: ${flowText([l])}`));
  });
  target.setAttribute("viewBox", `0 0 ${width} ${height}`);
  target.replaceChildren(...lines, ...shapes);
}

function tall(target, cols, flows, width) {
  const across = 2, between = 8, w = (width - between * (across - 1)) / across, h = 42;
  const shapes = [];
  let y = 0;
  cols.forEach((c, k) => {
    shapes.push(svg("text", { class: "stage", x: 0, y: y + 13 }, c.name));
    y += 22;
    c.nodes.forEach((n, i) => shapes.push(node(n, (i % across) * (w + between), y + Math.floor(i / across) * (h + between), c.nodes.length === 1 ? width : w, h)));
    y += Math.ceil(c.nodes.length / across) * (h + between);
    if (k + 1 < cols.length) {
      const list = flows.filter((l) => l.column === k), live = list.some((l) => l.live);
      shapes.push(svg("path", { class: live ? "flowline arrow" : "flowline arrow dead", d: `M18 ${y}v22m-5-6 5 6 5-6` }),
        svg("text", { class: "flow", x: 36, y: y + 16 }, flowText(list)));
      y += 34;
    }
  });
  target.setAttribute("viewBox", `0 0 ${width} ${y}`);
  target.replaceChildren(...shapes);
}

export function drawPipeline(target, status) {
  const cols = columns(status), width = Math.max(300, Math.round(target.parentElement.clientWidth - 40));
  const boxes = cols.map((c) => new Map(c.nodes.flatMap((n) => (n.ids || [n.id]).map((id) => [id, n.id]))));
  const flows = links(status, (column, id) => boxes[column].get(id));
  (width >= 860 ? wide : tall)(target, cols, flows, width);
  target.setAttribute("aria-label", "The pipeline: " + cols.map((c) => `${c.name}: ${c.nodes.map((n) => `${n.title} ${n.note}`).join(", ") || "none"}`).join("; "));
}

// Numbers and times in words, and small helpers for elements. No state.

export function seconds(s) {
  if (s === null || s === undefined || !isFinite(s)) return "–";
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 100) return `${Math.round(s)} s`;
  if (s < 600) return `${Math.floor(s / 60)} min ${String(Math.floor(s % 60)).padStart(2, "0")} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  if (s < 172800) return `${(s / 3600).toFixed(s < 36000 ? 1 : 0)} h`;
  return `${Math.round(s / 86400)} d`;
}

export function uptime(s) {
  if (!(s > 0)) return "–";
  if (s < 60) return `${Math.round(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s / 60) % 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s / 3600) % 24)} h`;
}

export function rate(kbit) {
  if (!isFinite(kbit)) return "–";
  if (kbit < 1000) return `${Math.round(kbit)} kbit/s`;
  if (kbit < 1e6) return `${(kbit / 1000).toFixed(kbit < 100000 ? 1 : 0)} Mbit/s`;
  return `${(kbit / 1e6).toFixed(1)} Gbit/s`;
}

export function bytes(n) {
  if (n < 1e6) return `${Math.round(n / 1e3)} kB`;
  if (n < 1e9) return `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)} MB`;
  return `${(n / 1e9).toFixed(1)} GB`;
}

export function count(n, one, many = `${one}s`) {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

export function ago(ms, now) {
  const s = Math.max(0, (now - ms) / 1000);
  if (s < 2) return "now";
  if (s < 60) return `${Math.round(s)} s ago`;
  if (s < 3600) return `${Math.round(s / 60)} min ago`;
  if (s < 86400) return `${Math.round(s / 3600)} h ago`;
  return `${Math.round(s / 86400)} d ago`;
}

export function clock(ms) {
  return new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

// Words for the states of processes and streams, each with a level.
const STATES = {
  ready: ["ok", "Ready"], live: ["ok", "Live"], done: ["idle", "Ended"], ended: ["idle", "Ended"],
  starting: ["warn", "Starting"], waiting: ["warn", "Waiting"], connecting: ["bad", "Connecting"], "no camera": ["bad", "No camera"], "no endpoint": ["warn", "No endpoint"], restarting: ["warn", "Restarting"],
  stopping: ["warn", "Stopping"], stopped: ["idle", "Stopped"], hung: ["bad", "Hung"], failed: ["bad", "Failed"],
  silent: ["bad", "Silent"], "gave up": ["bad", "Gave up"], "crash loop": ["bad", "Crash loop"],
};

// What a stream's state comes to: "connecting" is another thing for a camera than for the endpoint.
export function streamWord(s) {
  if (s.state !== "connecting") return s.state;
  const who = Object.keys(s.stages).find((instance) => s.stages[instance].state === "connecting") || "";
  return who.startsWith("uploader") ? "no endpoint" : who.startsWith("capture") ? "no camera" : s.state;
}

export function state(word) {
  const [level, text] = STATES[word] || ["warn", word || "Unknown"];
  return { level, text };
}

// Where video goes, in two words: {title, note}.
export function endpointName(status) {
  const host = status.endpoint.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
  const region = /^kinesisvideo\.([a-z0-9-]+)\.amazonaws\.com/.exec(host);
  if (status.own_server) return { title: "Own server", note: host };
  return region ? { title: "Amazon KVS", note: region[1] } : { title: host, note: "Endpoint" };
}

export function el(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== undefined) e.setAttribute(key, value);
  e.append(...children);
  return e;
}

export function svg(tag, attributes = {}, ...children) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== undefined) e.setAttribute(key, value);
  e.append(...children);
  return e;
}

// Sets text only when it is another, so that nothing is announced or laid out anew for nothing.
export function put(e, text) {
  if (e.textContent !== text) e.textContent = text;
}

// A mark of a level: its shape differs as its colour does.
const MARKS = {
  ok: "M3.5 8.5 6.5 11.5 12.5 4.8", warn: "M8 3.5v5.5M8 12v.4", bad: "M4.5 4.5 11.5 11.5M11.5 4.5 4.5 11.5", idle: "M4.5 8h7",
};
export function mark(level) {
  return svg("svg", { class: "mark", viewBox: "0 0 16 16", "aria-hidden": "true" },
    svg("path", { d: MARKS[level] || MARKS.warn, fill: "none", stroke: "currentColor", "stroke-width": 2.2, "stroke-linecap": "round", "stroke-linejoin": "round" }));
}

export function pill(word) {
  const s = state(word);
  return el("span", { class: "pill", "data-level": s.level }, mark(s.level), s.text);
}

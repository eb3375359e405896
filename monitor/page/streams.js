// The cameras: a card each, with its picture, what is off-site, what is lost, and the last minutes.
import { ago, bytes, clock, count, el, pill, put, rate, seconds, state, streamWord, svg } from "./format.js";
import { line, timeline } from "./draw.js";

const HOUR_MS = 3600e3, TEN_MINUTES_MS = 600e3;
const PICTURE_EVERY_MS = 5000, NO_PICTURE_MS = 30000, GAPS_EVERY_MS = 60000;
export const WARN_S = 20, BAD_S = 120; // so long until off-site is worth a look, is a failure
const GRAPHS = [["fps", "Frames", 5], ["kbps", "Bitrate", 100], ["latency", "Latency", 1], ["backlog", "Backlog", 4]];

const cards = new Map();

// Pictures are asked for, and graphs drawn, where somebody can see them.
const seen = new IntersectionObserver((entries) => {
  for (const e of entries) for (const c of cards.values()) if (c.root === e.target) c.visible = e.isIntersecting;
}, { rootMargin: "200px" });

export function lostFrames(s) {
  return Object.values(s.lost).reduce((sum, n) => sum + n, 0);
}

export function gapCount(s) {
  return Object.values(s.gaps).reduce((sum, n) => sum + n, 0);
}

// Seconds until off-site; while no uploader tells, what it last said and the time since.
export function offsite(s, history, now) {
  if (s.offsite_s !== null) return { value: s.offsite_s, sure: true };
  const values = history.series(s.name, "offsite");
  for (let i = values.length - 1; i >= 0; i--)
    if (values[i] !== null) return { value: values[i] + ((values.length - 1 - i) * history.step) / 1000 + (now - history.end) / 1000, sure: false };
  return { value: null, sure: false };
}

export function pressure(value) {
  return value === null || value < WARN_S ? "ok" : value < BAD_S ? "warn" : "bad";
}

function make(s, ask, few) {
  const c = { gaps: null, gapsAt: 0, pictureAt: 0, pictureMs: 0, visible: false };
  const title = el("h3", {}, s.name);
  const button = el("button", { type: "button", "aria-label": `Ask ${s.name} for a key frame` }, "Key frame");
  button.addEventListener("click", () => ask("keyframe", { stream: s.name }));
  c.picture = el("div", { class: "picture" });
  c.none = el("p", { class: "none" }, "No picture yet");
  c.img = el("img", { alt: `What ${s.name} saw last`, hidden: "" });
  c.when = el("span", { class: "when", hidden: "" });
  c.pill = el("span", {});
  c.picture.append(c.none, c.img, c.pill, c.when);
  c.value = el("span", {}, "–");
  c.label = el("small", {}, "until off-site");
  c.main = svg("svg", { class: "graph", role: "img" });
  c.stripe = svg("svg", { class: "stripe", role: "img" });
  c.loss = el("span", {});
  c.span = el("span", {});
  c.note = el("p", { class: "note", hidden: "" });
  c.small = GRAPHS.map(([key, name, most]) => ({ key, name, most, value: el("b", {}, "–"), graph: svg("svg", { class: "graph", role: "img" }) }));
  c.root = el("li", { class: "card" }, c.picture, el("div", { class: "card-body" },
    el("div", { class: "card-head" }, title, button),
    c.note,
    el("div", { class: "offsite" }, el("p", { class: "value" }, c.value, c.label), c.main),
    el("div", {}, c.stripe, el("p", { class: "stripe-text" }, c.loss, c.span)),
    el("details", { open: few && matchMedia("(min-width: 761px)").matches ? "" : null }, el("summary", {}, "Frames, bitrate, latency, backlog"),
      el("div", { class: "small-graphs" }, ...c.small.map((g) => el("div", {}, el("p", {}, g.name, g.value), g.graph))))));
  return c;
}

async function picture(c, name, now) {
  if (now - c.pictureAt < PICTURE_EVERY_MS || document.hidden || !c.visible) return;
  c.pictureAt = now;
  const answer = await fetch(`/still?stream=${encodeURIComponent(name)}`).catch(() => null);
  if (!answer) return;
  if (answer.status === 503) c.pictureAt = now - PICTURE_EVERY_MS + 1000;
  if (answer.status === 404) c.pictureAt = now + NO_PICTURE_MS - PICTURE_EVERY_MS;
  if (!answer.ok) return;
  c.pictureMs = Number(answer.headers.get("X-Frame-Time-Ms")) || 0;
  const url = URL.createObjectURL(await answer.blob()), old = c.img.src;
  c.img.src = url;
  c.img.hidden = false;
  c.none.hidden = true;
  if (old) URL.revokeObjectURL(old);
}

async function gaps(c, s, now) {
  const mark = `${gapCount(s)} ${lostFrames(s)}`;
  if (c.mark === mark && now - c.gapsAt < GAPS_EVERY_MS) return;
  c.mark = mark;
  c.gapsAt = now;
  const since = `${Math.floor(now - HOUR_MS)}000000`;
  const answer = await fetch(`/gaps?stream=${encodeURIComponent(s.name)}&since_ns=${since}`).catch(() => null);
  if (answer && answer.ok) c.gaps = (await answer.json()).gaps;
}

// The timeline shows what there is to show: ten minutes at first, at most an hour.
function span(status) {
  return Math.min(HOUR_MS, Math.max(TEN_MINUTES_MS, Math.ceil(status.uptime_s / 600) * TEN_MINUTES_MS));
}

// Since when the camera has given nothing; null: it gives.
function silentSince(s, now, history, began) {
  const fps = history.series(s.name, "fps");
  let n = 0;
  while (n < fps.length && !fps[fps.length - 1 - n]) n++;
  if (s.frames_per_s > 0 || s.state === "ended") return null;
  return n === fps.length ? began : now - n * history.step;
}

function parts(c, s, at, now, from, began, history) {
  const silent = silentSince(s, now, history, began);
  const list = (c.gaps || []).map((g) => ({ from: g.start_ns / 1e6, to: g.end_ns / 1e6, kind: g.count > 0 ? "lost" : "silent" }));
  if (silent !== null) list.push({ from: silent, to: now, kind: "silent" });
  const known = Math.min(began, ...list.map((g) => g.from));
  if (known > from) list.unshift({ from, to: known, kind: "before" });
  if (at.value > 0) list.push({ from: now - at.value * 1000, to: now, kind: "pending" });
  return list;
}

function lossText(s) {
  const frames = lostFrames(s), n = gapCount(s);
  const losses = Object.keys(s.gaps).reduce((sum, cause) => sum + (s.lost[cause] ? s.gaps[cause] : 0), 0);
  if (frames) return `${count(frames, "frame")} lost in ${count(losses, "gap")}`;
  return n ? `Nothing lost; ${count(n, "pause")} of the camera` : "Nothing lost";
}

const VALUES = {
  fps: (s) => `${s.frames_per_s.toFixed(1)} /s`, kbps: (s) => rate(s.kbit_per_s), latency: (s) => seconds(s.latency_s),
  backlog: (s) => (s.backlog_s === null ? "–" : bytes(s.backlog_bytes)),
};

function update(c, s, history, status) {
  const now = status.at_ms, from = now - span(status), word = streamWord(s);
  const st = state(word), at = offsite(s, history, now);
  const trouble = st.level === "warn" || st.level === "bad";
  c.root.dataset.level = st.level;
  c.root.dataset.pressure = pressure(at.value);
  if (c.pill.dataset.word !== word) {
    c.pill.replaceChildren(pill(word));
    c.pill.dataset.word = word;
  }
  put(c.value, (at.sure || at.value === null ? "" : "≥ ") + seconds(at.value));
  c.note.hidden = !(trouble && s.note);
  c.note.dataset.level = st.level;
  put(c.note, s.note);
  c.when.hidden = !c.pictureMs;
  put(c.when, ago(c.pictureMs, now));
  put(c.loss, lossText(s));
  c.loss.className = lostFrames(s) ? "loss" : "";
  if (!c.visible) return;
  put(c.span, span(status) === HOUR_MS ? "last hour" : `last ${span(status) / 60000} min`);
  line(c.main, history.series(s.name, "offsite"), { height: 40, most: 6, label: `Seconds until off-site, last ten minutes; now ${seconds(at.value)}` });
  timeline(c.stripe, from, now, parts(c, s, at, now, from, now - status.uptime_s * 1000, history), `${c.span.textContent}: ${lossText(s)}`);
  for (const g of c.small) {
    put(g.value, VALUES[g.key](s));
    line(g.graph, history.series(s.name, g.key), { height: 26, most: g.most, label: `${g.name}, last ten minutes; now ${g.value.textContent}` });
  }
}

export function drawStreams(list, status, history, ask) {
  const now = Date.now();
  for (const s of status.streams) {
    let c = cards.get(s.name);
    if (!c) {
      cards.set(s.name, c = make(s, ask, status.streams.length <= 9));
      list.append(c.root);
      seen.observe(c.root);
    }
    picture(c, s.name, now);
    gaps(c, s, now);
    update(c, s, history, status);
  }
  for (const [name, c] of cards) {
    if (status.streams.some((s) => s.name === name)) continue;
    seen.unobserve(c.root);
    c.root.remove();
    cards.delete(name);
  }
}

// The page: hears from the monitor, says what matters first, and asks it for things.
import { clock, count, el, endpointName, mark, pill, put, rate, seconds, state, streamWord, uptime } from "./format.js";
import { drawPipeline } from "./pipeline.js";
import { drawStreams, gapCount, lostFrames, offsite, pressure } from "./streams.js";

const $ = (id) => document.getElementById(id);
const SILENT_MS = 4000, EVENTS_SHOWN = 60;

// ---- the last minutes ----

const history = {
  step: 2000, end: 0, streams: {},
  series(name, key) { return this.streams[name]?.[key] || []; },
  take(answer) {
    this.step = answer.step_ms;
    this.end = answer.end_ms;
    this.streams = answer.streams;
  },
  add(status) {
    const of = { fps: "frames_per_s", kbps: "kbit_per_s", latency: "latency_s", backlog: "backlog_s", offsite: "offsite_s" };
    const next = status.at_ms - this.end >= this.step - 100;
    for (const s of status.streams) {
      const rows = (this.streams[s.name] ??= { fps: [], kbps: [], latency: [], backlog: [], offsite: [] });
      for (const key of Object.keys(of)) {
        if (next) rows[key].push(s[of[key]]);
        if (rows[key].length > 300) rows[key].shift();
      }
    }
    if (next) this.end = status.at_ms;
  },
};

// ---- what matters ----

let status = null, heard = 0, events = [];

function verdictOf(st) {
  const streams = st.streams, live = streams.filter((s) => state(streamWord(s)).level === "ok" || state(streamWord(s)).level === "idle");
  const waits = streams.map((s) => ({ s, at: offsite(s, history, st.at_ms) }));
  const slowest = waits.filter((w) => w.at.value !== null).sort((a, b) => b.at.value - a.at.value)[0];
  const lost = streams.reduce((sum, s) => sum + lostFrames(s), 0), gaps = streams.reduce((sum, s) => sum + gapCount(s), 0);
  const down = st.stages.filter((p) => ["bad", "warn"].includes(state(p.state).level));
  const worst = slowest ? pressure(slowest.at.value) : "ok";
  const troubled = streams.length - live.length;
  let level = "ok", kicker = "All is well", headline = slowest ? `Everything is off-site within ${seconds(slowest.at.value)}` : "Everything is off-site";
  if (!streams.length) [level, kicker, headline] = ["idle", "No cameras", "No camera is configured yet"];
  else if (troubled) [level, kicker, headline] = [streams.some((s) => state(streamWord(s)).level === "bad") ? "bad" : "warn", "Needs attention", `${troubled === streams.length ? "No camera is live" : `${troubled} of ${count(streams.length, "camera")} ${troubled === 1 ? "is" : "are"} not live`}`];
  else if (worst !== "ok") [level, kicker, headline] = [worst, "Falling behind", `${seconds(slowest.at.value)} of video ${slowest.at.value < 100 ? "are" : "is"} only on this machine`];
  else if (down.length) [level, kicker, headline] = [down.some((p) => state(p.state).level === "bad") ? "bad" : "warn", "Recovering", `${down.length === 1 ? `${down[0].instance} is ${state(down[0].state).text.toLowerCase()}` : `${down.length} processes are not ready`}`];
  return { level, kicker, headline, live, slowest, lost, gaps, down };
}

function leadOf(v, st) {
  if (!st.streams.length) return "Add one to the configuration, then restart the pipeline.";
  const parts = [];
  if (v.level !== "ok" && v.slowest && v.kicker !== "Falling behind") parts.push(`What the others captured is off-site within ${seconds(v.slowest.at.value)}.`);
  if (v.kicker === "Falling behind") parts.push("It is kept in the spool and sent as fast as the uplink takes it.");
  parts.push(v.lost ? `${count(v.lost, "captured frame")} ${v.lost === 1 ? "was" : "were"} lost since the spool began.` : "Nothing that was captured has been lost.");
  return parts.join(" ");
}

function showVerdict(st) {
  const v = verdictOf(st);
  $("verdict").dataset.level = v.level;
  if ($("kicker").textContent !== v.kicker) $("kicker").replaceChildren(mark(v.level), v.kicker);
  put($("headline"), v.headline);
  put($("lead"), leadOf(v, st));
  put($("fig-offsite"), v.slowest ? seconds(v.slowest.at.value) : "–");
  put($("sub-offsite"), v.slowest && st.streams.length > 1 ? `slowest camera: ${v.slowest.s.name}` : "age of what only this machine has");
  put($("fig-lost"), v.lost ? count(v.lost, "frame") : "Nothing");
  put($("sub-lost"), v.gaps ? `${count(v.gaps, "gap")} in all` : "no gaps");
  put($("fig-live"), `${v.live.length} of ${st.streams.length}`);
  put($("sub-live"), `${Math.round(st.streams.reduce((sum, s) => sum + s.frames_per_s, 0))} frames/s`);
  put($("fig-uplink"), rate(st.streams.reduce((sum, s) => sum + s.kbit_per_s, 0)));
  put($("sub-uplink"), `to ${st.own_server ? "the own server" : Object.values(endpointName(st)).join(", ")}`);
  document.title = v.level === "ok" ? `${v.slowest ? seconds(v.slowest.at.value) : "ok"} · kvpipe` : `${v.level === "bad" ? "✗" : "!"} ${v.headline} · kvpipe`;
}

function issuesOf(st) {
  const list = [];
  for (const p of st.stages) {
    const s = state(p.state);
    if (s.level === "bad" || (s.level === "warn" && p.restarts)) list.push({ level: s.level, about: p.instance, text: s.text.toLowerCase(), why: p.note || (p.last_exit !== null ? `last exit code ${p.last_exit}` : ""), todo: p.log ? `Its log: ${p.log}` : "", restart: p.instance });
  }
  for (const s of st.streams) {
    const level = state(streamWord(s)).level, at = offsite(s, history, st.at_ms);
    if (level === "bad" || (level === "warn" && s.note)) list.push({ level, about: s.name, text: state(streamWord(s)).text.toLowerCase(), why: s.note });
    else if (pressure(at.value) !== "ok") list.push({ level: pressure(at.value), about: s.name, text: `${seconds(at.value)} until off-site`, why: s.note, todo: "Is the uplink slower than the camera, or the endpoint away? Nothing is lost while the spool has room." });
  }
  return list.sort((a, b) => (a.level === "bad" ? 0 : 1) - (b.level === "bad" ? 0 : 1));
}

let issuesShown = "";
function showIssues(st) {
  const list = issuesOf(st), text = JSON.stringify(list);
  $("attention").hidden = !list.length;
  if (text === issuesShown) return;
  issuesShown = text;
  $("issues").replaceChildren(...list.map((i) => {
    const li = el("li", { class: "issue", "data-level": i.level }, mark(i.level), el("div", {}, el("p", {}, el("b", {}, i.about), ` ${i.text}`), el("p", {}, i.why || ""), i.todo ? el("p", { class: "todo" }, i.todo) : ""));
    if (i.restart) li.append(restartButton(i.restart));
    return li;
  }));
}

// ---- processes ----

const rows = new Map();

function restartButton(instance) {
  const b = el("button", { type: "button", "aria-label": `Restart ${instance}` }, "Restart");
  b.addEventListener("click", () => ask("restart", { stage: instance }));
  return b;
}

const MANY = 12;

function showProcesses(st) {
  const good = st.stages.filter((p) => state(p.state).level === "ok" || state(p.state).level === "idle").length;
  put($("process-count"), `${count(st.stages.length, "process", "processes")}, ${good === st.stages.length ? "all well" : `${st.stages.length - good} not`}`);
  if (!rows.size && st.stages.length > MANY) $("process-list").open = false;
  for (const p of st.stages) {
    let r = rows.get(p.instance);
    if (!r) {
      r = { state: el("td", { class: "state" }), up: el("td", { "data-label": "up" }), restarts: el("td", { "data-label": "restarts" }) };
      r.root = el("tr", {}, el("th", { scope: "row" }, p.instance), r.state, r.up, r.restarts, el("td", { class: "do" }, restartButton(p.instance)));
      rows.set(p.instance, r);
      $("processes").append(r.root);
    }
    const key = `${p.state} ${p.note}`;
    if (r.key !== key) {
      r.state.replaceChildren(pill(p.state), state(p.state).level !== "ok" && p.note ? el("span", { class: "why" }, p.note) : "");
      r.key = key;
    }
    put(r.up, uptime(p.uptime_s));
    put(r.restarts, p.restarts === null ? "–" : String(p.restarts));
  }
  for (const [name, r] of rows) if (!st.stages.some((p) => p.instance === name)) { r.root.remove(); rows.delete(name); }
}

// ---- events ----

const LEVEL_MARKS = { info: "idle", warn: "warn", error: "bad" };

function eventItem(e) {
  const when = el("time", { datetime: new Date(e.at_ms).toISOString(), title: new Date(e.at_ms).toLocaleString() }, clock(e.at_ms));
  return el("li", { class: "event", "data-level": e.level, "data-kind": e.kind }, when, mark(LEVEL_MARKS[e.level]),
    el("div", {}, el("p", {}, el("span", { class: "hidden" }, e.level === "info" ? "" : `${e.level}: `), el("b", {}, e.about), ` ${e.text}${e.times > 1 ? ` (${e.times} times)` : ""}`), e.advice ? el("p", { class: "todo" }, `What to do: ${e.advice}`) : ""));
}

function showEvents() {
  $("events").replaceChildren(...events.slice(-EVENTS_SHOWN).reverse().map(eventItem));
}

function addEvent(e) {
  events = events.filter((o) => o.id !== e.id && !(o.about === e.about && o.kind === e.kind && o.text === e.text && e.times > 1 && o.times === e.times - 1));
  events.push(e);
  showEvents();
}

// ---- watching it ----

let playShown = "", playName = "";

function quoted(text) {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function commands(st, name) {
  const list = [
    ["Live, as the endpoint gives it out:", `kvpipe get-media -c ${quoted(st.config)} ${name} | ffplay -`],
    ["The last minutes, as they lie in the spool here:", `ls -t ${quoted(st.spool)}/${name}/*.mkv | head -1 | xargs ffplay`],
    ["What is missing from its archive, and why:", `kvpipe gaps -c ${quoted(st.config)} ${name}`],
  ];
  if (st.archive) list.splice(2, 0, ["What the own server has archived, newest file:", `ls -t ${quoted(st.archive)}/${name}-*/*.mkv | head -1 | xargs ffplay`]);
  return list;
}

function commandItem([what, line]) {
  const copy = el("button", { type: "button", "aria-label": `Copy: ${line}` }, "Copy");
  copy.addEventListener("click", () => navigator.clipboard?.writeText(line).then(() => toast("Copied")));
  return el("div", {}, el("p", {}, what), el("div", { class: "command" }, el("code", {}, line), copy));
}

function showPlay(st) {
  const names = st.streams.map((s) => s.name), key = `${names} ${st.spool} ${playName}`;
  if (key === playShown || !names.length) return;
  if (!names.includes(playName)) playName = names[0];
  playShown = `${names} ${st.spool} ${playName}`;
  const select = el("select", { id: "play-camera" }, ...names.map((n) => el("option", n === playName ? { selected: "" } : {}, n)));
  select.addEventListener("change", () => { playName = select.value; showPlay(status); select.isConnected || $("play-camera").focus(); });
  $("play-text").replaceChildren(el("p", { class: "choose" }, el("label", { for: "play-camera" }, "On the machine that runs the pipeline, for "), select), ...commands(st, playName).map(commandItem));
}

// ---- asking ----

let token = sessionStorage.getItem("kvpipe-token") || "";

function takeToken() {
  const found = /[#&]token=([A-Za-z0-9]+)/.exec(location.hash);
  if (!found) return;
  setToken(found[1]);
  window.history.replaceState(null, "", location.pathname);
}

function setToken(text) {
  token = text;
  if (text) sessionStorage.setItem("kvpipe-token", text);
  else sessionStorage.removeItem("kvpipe-token");
  put($("lock"), token ? "Controls unlocked" : "Controls locked");
}

let toastTimer = 0;
function toast(text) {
  put($("toast"), text);
  $("toast").classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => $("toast").classList.remove("shown"), 4000);
}

// Opens the dialog; resolves to whether it was agreed to.
function dialog({ title, text, yes, danger = false, withToken = false }) {
  const d = $("ask");
  put($("ask-title"), title);
  put($("ask-text"), text);
  put($("ask-yes"), yes);
  $("ask-yes").className = danger ? "danger" : "primary";
  $("ask-token").hidden = !withToken;
  $("token").value = "";
  d.returnValue = "no";
  d.showModal();
  if (withToken) $("token").focus();
  return new Promise((done) => d.addEventListener("close", () => done(d.returnValue === "yes"), { once: true }));
}

async function unlock(why = "") {
  const agreed = await dialog({ title: "Unlock the controls", text: `${why}On the machine that runs the pipeline, \`kvpipe page\` prints the address of this page with its token. Open that, or paste the token here. It stays in this tab.`, yes: "Unlock", withToken: true });
  const given = $("token").value.trim().replace(/^.*token=/, "");
  if (agreed && given) setToken(given);
  return Boolean(agreed && given);
}

const WARNINGS = {
  capture: "What it holds at this moment is lost with it: expect a gap of about a second.",
  server: "Uploads wait in the spool until it is back. Nothing is lost.",
};

async function ask(verb, fields) {
  const stage = fields.stage && status?.stages.find((p) => p.instance === fields.stage)?.stage;
  if (!token && !(await unlock())) return;
  if (verb === "restart" && !(await dialog({ title: `Restart ${fields.stage}?`, text: WARNINGS[stage] || "Frames that are in it come again from the stage before. Nothing is lost.", yes: "Restart", danger: stage === "capture" }))) return;
  const answer = await fetch(`/${verb}?${new URLSearchParams(fields)}`, { method: "POST", headers: { Authorization: `Bearer ${token}` } }).catch(() => null);
  const text = answer ? (await answer.text()).trim() : "the monitor does not answer";
  if (answer?.status === 401) {
    setToken("");
    return void (await unlock("That token is not the monitor's. "));
  }
  toast(`${fields.stream || fields.stage}: ${text}`);
}

$("lock").addEventListener("click", async () => {
  if (!token) return void unlock();
  setToken("");
  toast("Controls locked");
});

// ---- hearing ----

function show(st) {
  status = st;
  history.add(st);
  put($("where"), st.config.split("/").slice(-2).join("/"));
  showVerdict(st);
  showIssues(st);
  drawStreams($("cards"), st, history, ask);
  drawPipeline($("pipeline"), st);
  showProcesses(st);
  showPlay(st);
  put($("about"), `kvpipe ${st.version} · up ${uptime(st.uptime_s)} · ${st.endpoint}`);
}

function linkState() {
  const e = $("link-state"), silent = Date.now() - heard > SILENT_MS;
  e.dataset.level = silent ? "bad" : "ok";
  put(e, !heard ? "Connecting…" : silent ? `No news for ${seconds((Date.now() - heard) / 1000)}` : "Live");
  if (heard && silent) {
    $("verdict").dataset.level = "bad";
    put($("kicker"), "Not up to date");
    put($("headline"), "The monitor does not answer");
    put($("lead"), "Video may well flow on: the stages do not need the monitor. What is shown below is from before.");
  }
}

async function get(path) {
  const answer = await fetch(path).catch(() => null);
  return answer?.ok ? answer.json() : null;
}

async function catchUp() {
  const [past, happened] = await Promise.all([get("/history"), get("/events")]);
  if (past) history.take(past);
  if (happened) events = happened.events;
  showEvents();
}

function listen() {
  const source = new EventSource("/live");
  source.addEventListener("open", catchUp);
  source.addEventListener("status", (e) => { heard = Date.now(); show(JSON.parse(e.data)); linkState(); });
  source.addEventListener("event", (e) => addEvent(JSON.parse(e.data)));
  source.addEventListener("error", () => { if (source.readyState === EventSource.CLOSED) setTimeout(listen, 2000); });
}

takeToken();
setToken(token);
window.addEventListener("hashchange", takeToken);
window.addEventListener("resize", () => status && drawPipeline($("pipeline"), status));
setInterval(linkState, 1000);
listen();

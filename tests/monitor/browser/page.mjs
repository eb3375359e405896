// The page in a real browser: node page.mjs BASE TOKEN SCREENSHOTS. Prints a line a claim, "ok" or "FAIL".
import { createServer, request } from "node:http";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [, , base, token, shots] = process.argv;
const SLOW = Number(process.env.KVPIPE_SLOW || 1), LIMIT = 20000 * SLOW;
const require = createRequire(import.meta.url);
let failed = false;

function check(good, text) {
  console.log(`${good ? "ok  " : "FAIL"} ${text}`);
  failed ||= !good;
  return good;
}

async function waitFor(what, condition, limit = LIMIT, every = 20) {
  for (const end = Date.now() + limit; Date.now() < end; await new Promise((r) => setTimeout(r, every))) {
    const value = await condition();
    if (value) return value;
  }
  throw new Error(`${what} did not happen within ${limit / 1000} s`);
}

const status = async () => (await fetch(`${base}/status`)).json();
const process_ = async (instance) => (await status()).stages.find((p) => p.instance === instance);
const asked = async () => (await (await fetch(`${base}/events`)).json()).events.filter((e) => e.kind === "asked").length;

// By hand: fetch() sets Origin and Host itself.
function post(path, headers) {
  return new Promise((resolve, reject) => {
    const r = request(base + path, { method: "POST", headers }, (answer) => { answer.resume(); resolve(answer.statusCode); });
    r.on("error", reject);
    r.end();
  });
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
});

async function open({ width = 1280, height = 900, scheme = "light", hash = "", ...more } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, ...more });
  const page = await context.newPage();
  page.trouble = [];
  page.outside = [];
  page.on("pageerror", (e) => page.trouble.push(e.message));
  page.on("console", (m) => { if (m.type() === "error" && !/status of (404|503|401)/.test(m.text())) page.trouble.push(m.text()); });
  page.on("request", (r) => { if (!r.url().startsWith(`${base}/`) && !r.url().startsWith("blob:")) page.outside.push(r.url()); });
  await page.goto(`${base}/${hash}`);
  await page.waitForSelector(".card", { timeout: LIMIT });
  return page;
}

async function reads() {
  const page = await open();
  const card = (name) => page.locator(".card", { has: page.locator("h3", { hasText: name }) });
  await waitFor("a picture of the front door", async () => (await card("front-door").locator("img").evaluate((i) => !i.hidden && i.naturalWidth)) > 0);
  check(true, "a recent picture of a camera is there");
  await card("front-door").locator(".pill", { hasText: "Live" }).waitFor({ timeout: LIMIT });
  await page.locator(".issue", { hasText: "garage" }).waitFor({ timeout: LIMIT });
  check(/check the camera/.test(await page.locator(".issue", { hasText: "garage" }).innerText()), "a camera that is away is said, with what to do");
  await waitFor("the headline", async () => /not live/.test(await page.locator("h1").innerText()));
  check(/^1 of 3 cameras is not live/.test(await page.locator("h1").innerText()), `the headline says it: ${await page.locator("h1").innerText()}`);
  check(/^[\d.]+ s$/.test(await page.locator("#fig-offsite").innerText()), `seconds until off-site: ${await page.locator("#fig-offsite").innerText()}`);
  check(await page.locator("#pipeline .node").count() >= 8, "every process is in the drawing");
  return page;
}

// Kills the encoder; the page says within 2 s that it was restarted. A machine that is busy may have a second and third try.
async function restartIsShown(page) {
  const took = [];
  while (took.length < 3 && !took.some((ms) => ms < 2000 * SLOW)) {
    const { pid } = await waitFor("a ready encoder", async () => { const p = await process_("encoder-1"); return p?.state === "ready" && p.pid && p; });
    const shown = () => page.locator('.event[data-kind="restarted"]', { hasText: "encoder-1" }).first().innerText({ timeout: 100 }).catch(() => "");
    const before = await shown(), began = Date.now();
    process.kill(pid, "SIGKILL");
    await waitFor("the restart on the page", async () => { const now = await shown(); return now && now !== before; });
    took.push(Date.now() - began);
  }
  check(Math.min(...took) < 2000 * SLOW, `the encoder is killed: the page shows the restart after ${took.join(", ")} ms`);
  check(/SIGKILL/.test(await page.locator('.event[data-kind="restarted"]').first().innerText()), "and says how it ended");
}

async function isRefused(page) {
  const before = await asked(), host = new URL(base).host, good = { Authorization: `Bearer ${token}` };
  const table = [
    ["without a token", {}, 401], ["with a wrong one", { Authorization: `Bearer ${"x".repeat(token.length)}` }, 401],
    ["from another origin, with the token", { ...good, Origin: "http://evil.example" }, 403],
    ["from another port of this host", { ...good, Origin: `http://${new URL(base).hostname}:1` }, 403],
    ["from a sandboxed frame", { ...good, Origin: "null" }, 403],
    ["by another name of this host", { ...good, Host: "evil.example" }, 403],
    ["across sites without an Origin", { ...good, "Sec-Fetch-Site": "cross-site" }, 403],
  ];
  for (const [what, headers, want] of table)
    for (const path of ["/restart?stage=encoder", "/keyframe?stream=yard", "/metadata?stream=yard&name=a&value=b"]) {
      const got = await post(path, headers);
      if (got !== want) check(false, `${path} ${what}: ${got}, expected ${want}`);
    }
  check((await asked()) === before, "POST without the token, or from elsewhere: refused, and nothing was done");
  check((await post("/keyframe?stream=yard", { ...good, Origin: `http://${host}` })) === 200, "with both it is done");
  const other = createServer((q, a) => a.end("<!doctype html><title>another site</title>")).listen(0, "127.0.0.1");
  await new Promise((r) => other.once("listening", r));
  const evil = await page.context().newPage(), was = await asked();
  await evil.goto(`http://127.0.0.1:${other.address().port}/`);
  const read = await evil.evaluate(async ([b, t]) => {
    await fetch(`${b}/restart?stage=encoder`, { method: "POST", mode: "no-cors" }).catch(() => 0);
    await fetch(`${b}/restart?stage=encoder`, { method: "POST", headers: { Authorization: `Bearer ${t}` } }).catch(() => 0);
    return fetch(`${b}/status`).then((a) => a.text()).catch(() => "");
  }, [base, token]);
  check(read === "" && (await asked()) === was, "a page of another site reads nothing and restarts nothing");
  await evil.close();
  other.close();
  await page.getByRole("button", { name: "Restart muxer-1" }).click();
  const dialog = page.getByRole("dialog");
  check(/Unlock/.test(await dialog.innerText()), "a page without the token asks for it");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
}

async function isDone() {
  const page = await open({ hash: `#token=${token}` });
  check(!(await page.evaluate(() => location.href)).includes(token), "the token does not stay in the address");
  await page.getByRole("button", { name: "Ask front-door for a key frame" }).click();
  await page.locator("#toast", { hasText: "asked for a key frame" }).waitFor({ timeout: LIMIT });
  check(true, "the key frame button asks for one");
  const { pid, restarts } = await process_("muxer-1");
  await page.getByRole("button", { name: "Restart muxer-1" }).focus();
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").getByRole("button", { name: "Restart" }).press("Enter");
  await page.locator(".event", { hasText: "was started again as asked" }).waitFor({ timeout: LIMIT });
  const after = await waitFor("a new muxer", async () => { const p = await process_("muxer-1"); return p?.state === "ready" && p.pid !== pid && p; });
  check(after.restarts === restarts, "the restart button, by keyboard: another muxer, and no failure is counted");
  check(page.trouble.length === 0 && page.outside.length === 0, `nothing from elsewhere, no error: ${[...page.trouble, ...page.outside].join("; ")}`);
  await page.context().close();
}

async function isSeen() {
  for (const [name, width, scheme] of [["page-1280", 1280, "light"], ["page-390", 390, "light"], ["page-1280-dark", 1280, "dark"]]) {
    // So high, since pictures are asked for where they can be seen; axe is brought in past the page's own policy.
    const page = await open({ width, height: 3000, scheme, reducedMotion: "reduce", bypassCSP: true });
    await waitFor("pictures", () => page.evaluate(() => [...document.querySelectorAll(".card img")].filter((i) => !i.hidden && i.naturalWidth).length >= 2));
    await page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    check(wide <= width, `${name}.png: nothing is wider than the screen (${wide} px)`);
    await page.addScriptTag({ path: require.resolve("axe-core/axe.min.js") });
    const found = await page.evaluate(() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"] }));
    const text = found.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 90) + " " + (n.any[0]?.message || "").slice(0, 120)).join(" | ")}`);
    check(found.passes.length > 20 && text.length === 0, `${name}: ${found.passes.length} of axe's rules hold${text.length ? "; " + text.join("; ") : ""}`);
    await page.context().close();
  }
}

try {
  const page = await reads();
  await restartIsShown(page);
  await isRefused(page);
  check(page.trouble.length === 0 && page.outside.length === 0, `nothing from elsewhere, no error: ${[...page.trouble, ...page.outside].join("; ")}`);
  await page.context().close();
  await isDone();
  await isSeen();
} catch (e) {
  check(false, e.stack);
}
await browser.close();
process.exit(failed ? 1 : 0);

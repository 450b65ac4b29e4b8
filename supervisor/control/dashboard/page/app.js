// The page: asks for the status each second while it is visible, and follows events
// and logs. Hidden, it asks for nothing.
import { byId, el, say, keyed, age, count, ms, announce } from "./dom.js";
import { getJSON } from "./api.js";
import { draw as drawApps } from "./tiles.js";
import { draw as drawCache } from "./cache.js";
import { Gateways } from "./gateways.js";
import { History } from "./history.js";
import { Chart } from "./chart.js";
import { Timeline } from "./timeline.js";
import { Logs } from "./logs.js";
import { Orders } from "./orders.js";

const every = 1000; // milliseconds between two questions for the status
const colours = ["--s0", "--s1", "--s2", "--s3", "--s4", "--s5"].map((name) => `var(${name})`);

let status = null, app = "", lostAt = 0;
const history = new History(), timeline = new Timeline(), logs = new Logs(), gateways = new Gateways();
const orders = new Orders(() => draw());
const charts = {
  rate: new Chart(byId("rate"), "Requests per second", count, 5),
  latency: new Chart(byId("latency"), "Latency p99", ms, 1),
  inflight: new Chart(byId("inflight"), "Requests in flight", count, 4),
};
const act = {
  get granted() { return orders.granted; },
  order: (name, verb, slot) => orders.ask(status.apps.find((a) => a.name === name), verb, slot),
  logs: (name, slot) => { logs.of(name, slot); byId("logs").focus(); },
};

const shownApps = () => status.apps.filter((a) => !app || a.name === app);

function draw() {
  if (!status) return;
  say(byId("name"), status.name);
  document.title = `${status.name || "tine"} · Tine`;
  say(byId("about"), `version ${status.version}, pid ${status.pid}, up ${age(status.uptime_s)}`);
  const select = byId("app");
  keyed(select, [{ name: "" }, ...status.apps], (a) => "app " + a.name, (a) => el("option", { value: a.name }, a.name || "all apps"), () => {});
  if (app && !status.apps.some((a) => a.name === app)) choose("");
  select.value = app;
  drawApps(shownApps(), act);
  gateways.draw(app);
  drawCache(status.cache);
  drawCharts();
}

function drawCharts() {
  const now = history.samples.at(-1)?.t;
  if (!now) return;
  const names = shownApps().map((a) => a.name), marks = timeline.marks();
  const line = (name, field, label, i) => ({ name: label, colour: colours[i % colours.length], points: history.points(name, field) });
  const newest = (field) => names.map((n) => history.samples.at(-1).apps[n]?.[field] ?? 0);
  // The colour is the app's, whichever are shown.
  const place = (name) => status.apps.findIndex((a) => a.name === name);
  const lines = (field) => names.map((n) => line(n, field, n, place(n)));
  const sum = (field) => newest(field).reduce((a, b) => a + b, 0);
  charts.rate.show(lines("rate"), marks, now, history.seconds(), sum("rate"));
  charts.inflight.show(lines("inflight"), marks, now, history.seconds(), sum("inflight"));
  const latency = names.length === 1
    ? [line(names[0], "p99", "p99", place(names[0])), line(names[0], "p50", "p50", place(names[0]) + 1)]
    : lines("p99");
  charts.latency.show(latency, marks, now, history.seconds(), Math.max(0, ...newest("p99")));
}

function choose(name) {
  app = name;
  byId("app").value = name;
  timeline.of(name);
  logs.of(name, null);
  draw();
}

// link says whether the master answers.
function link(state, text) {
  const pill = byId("link");
  if (pill.dataset.state !== state) announce(text);
  pill.dataset.state = state;
  say(pill, text);
}

let polling = null, timer = 0;

async function poll() {
  clearTimeout(timer);
  polling?.abort();
  const mine = (polling = new AbortController());
  let wait = every;
  try {
    const began = Date.now(), fresh = await getJSON("/v1/status", { signal: mine.signal });
    if (mine.signal.aborted) return;
    if (status && fresh.pid !== status.pid) anotherMaster();
    status = fresh;
    history.add(status, Date.now());
    if (lostAt) orders.check();
    lostAt = 0;
    byId("trouble").hidden = true;
    link("live", "live");
    draw();
    gateways.ask(status, app, () => gateways.draw(app));
    wait = Math.max(every / 4, every - (Date.now() - began));
  } catch (e) {
    if (mine.signal.aborted) return;
    lostAt ||= Date.now();
    link("lost", "no answer");
    byId("trouble").hidden = false;
    say(byId("trouble"), `No answer from the master since ${new Date(lostAt).toLocaleTimeString()}${e.status ? ": " + e.message : ""}. What is below is from before. Trying again.`);
    wait = Math.min(10000, every + (Date.now() - lostAt) / 4);
  }
  timer = setTimeout(poll, wait);
}

// anotherMaster begins anew: ids of events and lines do too.
function anotherMaster() {
  history.forget();
  timeline.forget();
  logs.forget();
  listen();
}

let source = null, retry = 0;

function listen() {
  clearTimeout(retry);
  source?.close();
  const mine = (source = new EventSource("/v1/events?follow=true&last=400" + (timeline.last ? "&after=" + timeline.last : "")));
  mine.onmessage = (m) => timeline.add(JSON.parse(m.data));
  mine.onerror = () => {
    if (mine.readyState !== EventSource.CLOSED || mine !== source) return; // it tries again by itself
    retry = setTimeout(listen, 3000);
  };
}

function watch() {
  const visible = document.visibilityState === "visible";
  logs.show(visible);
  if (visible) {
    orders.check();
    listen();
    poll();
    return;
  }
  polling?.abort();
  clearTimeout(timer);
  clearTimeout(retry);
  source?.close();
}

// The theme: that of the system, until the user chooses one.
const store = (name, value) => { try { localStorage.setItem(name, value); } catch { /* not kept */ } };
const recall = (name) => { try { return localStorage.getItem(name); } catch { return null; } };

function theme() {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const next = dark ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  store("tine-theme", next);
  label();
}

function label() {
  const dark = document.documentElement.dataset.theme === "dark" || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  say(byId("theme"), dark ? "Light" : "Dark");
  byId("theme").ariaLabel = dark ? "Light theme" : "Dark theme";
}

// Keys. Each acts on the app that is shown, or on the first.
const target = () => status?.apps.find((a) => a.name === app) ?? status?.apps[0];
const keys = {
  r: ["reload the app that is shown, or the first", () => target() && orders.ask(target(), "reload")],
  s: ["scale it", () => target() && orders.ask(target(), "scale")],
  u: ["unlock or lock orders", () => !byId("unlock").hidden && byId("unlock").click()],
  0: ["show all apps", () => choose("")],
  "1–9": ["show the first, second, … app", null],
  l: ["go to the logs", () => byId("logs").focus()],
  "/": ["filter the logs", () => byId("grep").focus()],
  p: ["pause the logs, or go on", () => logs.hold(!logs.held)],
  t: ["light or dark", theme],
  "?": ["this list", () => byId("help").showModal()],
};
for (const [key, [text]] of Object.entries(keys)) byId("help-keys").append(el("dt", {}, el("kbd", {}, key)), el("dd", {}, text));

document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.repeat || !byId("single").checked) return;
  if (e.target.matches("input:not([type=checkbox]), select")) {
    if (e.key === "Escape" && e.target === byId("grep")) byId("logs").focus();
    return;
  }
  if (document.querySelector("dialog[open]")) return;
  if (/^[1-9]$/.test(e.key) && status?.apps[e.key - 1]) {
    choose(status.apps[e.key - 1].name);
  } else if (keys[e.key]?.[1]) {
    e.preventDefault();
    keys[e.key][1]();
  }
});

byId("single").checked = recall("tine-keys") !== "off";
byId("single").onchange = (e) => store("tine-keys", e.target.checked ? "on" : "off");
byId("keys").onclick = () => byId("help").showModal();
byId("help-close").onclick = () => byId("help").close();
byId("theme").onclick = theme;
byId("app").onchange = (e) => choose(e.target.value);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
document.addEventListener("visibilitychange", watch);
// A page that the browser keeps for "back" must not keep its streams.
addEventListener("pagehide", () => { polling?.abort(); clearTimeout(timer); source?.close(); logs.show(false); });
addEventListener("pageshow", (e) => { if (e.persisted) watch(); });
label();
watch();

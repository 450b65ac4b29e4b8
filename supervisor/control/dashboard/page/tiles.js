// Apps and their slots.
import { el, say, look, keyed, count, ms, bytes, age, many, byId } from "./dom.js";

const looks = {
  ready: "good", finished: "good", starting: "busy", draining: "warn", killing: "warn", backoff: "bad", gone: "bad", drained: "none", vacant: "none", standby: "none",
  running: "good", stopping: "warn", stopped: "none", "gave up": "bad",
};
const lookOf = (w) => (w.stalled ? "bad" : looks[w.state] ?? "none");

const facts = [
  ["In flight", (w) => w.in_flight], ["p99", (w) => ms(w.p99_ms)],
  ["Restarts", (w) => w.restarts], ["Gen.", (w) => w.generation],
  ["Requests", (w) => count(w.requests)], ["Errors", (w) => count(w.errors)],
  ["CPU", (w) => Math.round(w.cpu_percent) + " %"], ["RSS", (w) => bytes(w.rss_bytes)],
];

// draw shows the apps. act is {order(app, verb, slot), logs(app, slot), granted}.
export function draw(apps, act) {
  const parent = byId("apps");
  if (apps.length === 0) {
    keyed(parent, [], String, null, null);
    if (!parent.firstChild) parent.append(el("p", { className: "empty" }, "This master has no app."));
    return;
  }
  keyed(parent, apps, (a) => a.name, (a) => makeApp(a, act), (e, a) => updateApp(e, a, act));
}

function makeApp(app, act) {
  const e = el("article", { className: "card app", data: { app: app.name }, ariaLabel: "App " + app.name });
  const p = (e.parts = {
    state: el("span", { className: "state" }), ready: el("span", { className: "num" }),
    facts: el("p", { className: "facts" }), notes: el("p", { className: "notes" }),
    rollout: el("div", { hidden: true }), rolloutText: el("p", { className: "muted" }), bar: el("i"),
    tiles: el("ul", { className: "tiles", ariaLabel: "Slots of " + app.name }),
    buttons: el("div", { className: "tools" }),
  });
  for (const [verb, word] of [["reload", "Reload"], ["scale", "Scale"]]) {
    p.buttons.append(el("button", { type: "button", data: { verb }, onclick: () => act.order(app.name, verb) }, word + " …"));
  }
  p.rollout.append(p.rolloutText, el("div", { className: "bar" }, p.bar));
  e.append(
    el("div", { className: "head" }, el("div", { className: "title" }, el("h3", {}, app.name), p.state, p.ready), p.buttons),
    p.facts, p.notes, p.rollout, p.tiles);
  return e;
}

function updateApp(e, app, act) {
  const p = e.parts;
  say(p.state, app.state);
  look(p.state, app.state === "running" && app.ready < app.desired ? "warn" : looks[app.state] ?? "none");
  say(p.ready, `${app.ready} of ${app.desired} ready`);
  const words = [
    "generation " + app.generation, many(app.restarts_total, "restart"), app.crashes_total + (app.crashes_total === 1 ? " crash" : " crashes"),
    app.listen.join(", "), app.steering && `${app.steering}, ${app.policy}`, app.refused && app.refused + " refused",
    app.namespace && "namespace " + app.namespace, app.standbys.length && many(app.standbys.length, "standby").replace("standbys", "standbys"),
  ].filter(Boolean);
  keyed(p.facts, words.map((text, i) => ({ text, i })), (w) => w.i, () => el("span"), (s, w) => say(s, w.text));
  const notes = [...app.steering_notes, app.error].filter(Boolean).join("; ");
  p.notes.hidden = !notes;
  say(p.notes, notes);
  const r = app.rollout;
  p.rollout.hidden = !r;
  if (r) {
    say(p.rolloutText, `Rollout ${r.id} ${r.state}: ${r.done} of ${many(r.total, "slot")}${r.reason ? ", " + r.reason : ""}${r.queued ? ", one more follows" : ""}${r.error ? ": " + r.error : ""}`);
    p.bar.parentNode.dataset.state = r.state;
    p.bar.style.width = (r.total ? 100 * r.done / r.total : 0) + "%";
  }
  p.buttons.hidden = !act.granted;
  const rows = [...app.workers, ...app.standbys];
  keyed(p.tiles, rows, (w) => w.slot + "/" + (w.id || "empty"), (w) => makeTile(app.name, w, act), (t, w) => updateTile(t, w, act));
}

function makeTile(app, w, act) {
  const e = el("li", { className: "tile", data: { slot: w.slot } });
  const name = w.slot < 0 ? "standby" : "slot " + w.slot;
  const p = (e.parts = { state: el("span", { className: "state" }), values: [], foot: el("span"), button: el("button", { type: "button", className: "small" }) });
  const head = w.slot < 0 ? el("span", {}, name)
    : el("button", { type: "button", className: "plain", title: "Show its logs", onclick: () => act.logs(app, w.slot) }, name);
  const list = el("dl");
  for (const [word] of facts) {
    const dd = el("dd");
    p.values.push(dd);
    list.append(el("div", {}, el("dt", {}, word), dd));
  }
  p.button.onclick = () => act.order(app, e.verb, w.slot);
  e.append(el("div", { className: "title" }, head, p.state), list, el("div", { className: "foot" }, p.foot, p.button));
  return e;
}

function updateTile(e, w, act) {
  const p = e.parts, how = lookOf(w);
  look(e, how);
  look(p.state, how);
  say(p.state, w.stalled ? w.state + ", hangs" : w.state);
  facts.forEach(([, value], i) => say(p.values[i], value(w)));
  const foot = [w.pid ? `pid ${w.pid}, up ${age(w.uptime_s)}` : "no process", w.stalled && "hangs: " + w.stalled, w.last_exit && "before: " + w.last_exit].filter(Boolean).join(" · ");
  say(p.foot, foot);
  if (p.foot.title !== foot) p.foot.title = foot;
  e.verb = w.state === "drained" ? "start" : "drain";
  p.button.hidden = !act.granted || w.slot < 0 || !(w.state === "ready" || w.state === "drained");
  p.button.dataset.verb = e.verb;
  say(p.button, e.verb === "start" ? "Start …" : "Drain …");
  p.button.ariaLabel = (e.verb === "start" ? "Start slot " : "Drain slot ") + w.slot;
}

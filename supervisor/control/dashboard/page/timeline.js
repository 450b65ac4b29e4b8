// What happened: rollouts, crashes, scales, and what else a person asks for.
import { el, byId, clock, ms, announce } from "./dom.js";

const kept = 500, shown = 120;

const groups = [
  { id: "rollouts", word: "Rollouts", has: (e) => e.kind.startsWith("rollout") },
  { id: "trouble", word: "Crashes", has: (e) => e.kind !== "value failed" && e.kind !== "rollout aborted" && (e.level === "error" || e.kind === "stalled" || e.kind === "backoff" || e.kind === "steering fell") },
  { id: "scales", word: "Scales", has: (e) => ["scaled", "held", "released", "app ended", "stopping", "config applied"].includes(e.kind) },
  { id: "values", word: "Values", has: (e) => e.kind.startsWith("value") },
  { id: "rest", word: "Rest", has: () => true },
];
const groupOf = (e) => groups.find((g) => g.has(e)).id;

function lookOf(e) {
  if (e.level === "error") return "bad";
  if (e.level === "warn") return "warn";
  if (e.kind === "rollout done" || e.kind === "ready") return "good";
  return e.kind.startsWith("rollout") || e.kind === "scaled" || e.kind.startsWith("value") ? "busy" : "none";
}

export class Timeline {
  events = []; app = ""; last = 0;
  wanted = new Set(["rollouts", "trouble", "scales", "values"]);

  constructor() {
    this.list = byId("timeline");
    for (const g of groups) {
      const box = el("input", { type: "checkbox", checked: this.wanted.has(g.id), onchange: () => {
        box.checked ? this.wanted.add(g.id) : this.wanted.delete(g.id);
        this.draw();
      } });
      byId("kinds").append(el("label", {}, box, g.word));
    }
    this.draw();
  }

  add(e) {
    if (e.id <= this.last) return;
    this.last = e.id;
    if (e.kind === "missed") return;
    this.events.push(e);
    if (this.events.length > kept) this.events.shift();
    const fresh = Date.now() - new Date(e.time) < 5000;
    if (fresh && (e.level === "error" || e.kind === "rollout done")) announce(`${e.app ?? ""} ${e.message || e.kind}`);
    if (!this.due) this.due = requestAnimationFrame(() => { this.due = 0; this.draw(); });
  }

  forget() { this.events = []; this.last = 0; this.draw(); }

  of(app) { this.app = app; this.draw(); }

  // marks are what the charts show: rollouts that begin, and crashes.
  marks() {
    return this.events.filter((e) => this.fits(e) && (e.kind === "rollout begin" || (e.kind === "exited" && e.level === "error") || e.kind === "scaled"))
      .map((e) => ({ t: +new Date(e.time), look: lookOf(e) }));
  }

  fits(e) { return !this.app || !e.app || e.app === this.app; }

  draw() {
    const rows = [];
    for (let i = this.events.length - 1; i >= 0 && rows.length < shown; i--) {
      const e = this.events[i];
      if (this.fits(e) && this.wanted.has(groupOf(e))) rows.push(this.row(e));
    }
    if (!rows.length) rows.push(el("li", { className: "empty" }, el("span"), el("span"), "Nothing of this yet."));
    this.list.replaceChildren(...rows);
  }

  row(e) {
    if (e.row) return e.row;
    let text = e.message || e.kind;
    if (e.last_words && text.endsWith(": " + e.last_words)) text = text.slice(0, -e.last_words.length - 2);
    if (e.kind.startsWith("value")) text = `${e.kind}: ${text}`;
    if (e.delay_ms) text += `, next attempt in ${ms(e.delay_ms)}`;
    if (e.kind === "rollout done" && e.took_ms) text += ` in ${ms(e.took_ms)}`;
    const body = el("p", {}, e.app ? el("span", { className: "of" }, e.app + (e.slot === undefined ? "" : " · " + e.slot) + "  ") : "", text);
    if (e.last_words) body.append(el("pre", {}, e.last_words));
    e.row = el("li", { data: { look: lookOf(e), kind: e.kind } },
      el("time", { dateTime: e.time, title: new Date(e.time).toLocaleString() }, clock(e.time)), el("span", { className: "dot", ariaHidden: "true" }), body);
    return e.row;
  }
}

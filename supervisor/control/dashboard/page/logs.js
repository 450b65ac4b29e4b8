// The end of the workers' output. The master chooses the lines, so that a filter costs
// the network nothing.
import { el, byId, say, clock } from "./dom.js";
import { follow } from "./api.js";

const kept = 600;

// plain leaves out what is for a terminal: its escape sequences and control characters.
const plain = (text) => text.replace(/\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f]/g, "");

export class Logs {
  app = ""; slot = null; grep = ""; last = 0; visible = false; held = false; stop = null; queue = [];

  constructor() {
    this.box = byId("logs");
    byId("grep").addEventListener("input", (e) => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => { this.grep = e.target.value; this.again(); }, 250);
    });
    byId("hold").onclick = () => this.hold(!this.held);
    byId("all-slots").onclick = () => { this.of(this.app, null); byId("logs").focus(); };
    this.empty();
  }

  hold(held) {
    this.held = held;
    byId("hold").ariaPressed = String(held);
    say(byId("hold"), held ? "Go on" : "Pause");
    if (!held) this.flush();
  }

  of(app, slot) {
    this.app = app;
    this.slot = slot;
    say(byId("logs-of"), slot === null ? app : `${app}, slot ${slot}`);
    byId("all-slots").hidden = slot === null;
    this.again();
  }

  // again begins with other lines.
  again() { this.last = 0; this.queue = []; this.empty(); if (this.visible) this.open(); }

  forget() { this.again(); }

  empty() { this.box.replaceChildren(el("p", { className: "from" }, "No line yet.")); this.lines = 0; }

  show(visible) {
    if (visible === this.visible) return;
    this.visible = visible;
    visible ? this.open() : this.stop?.abort();
  }

  async open() {
    this.stop?.abort();
    const stop = (this.stop = new AbortController());
    for (let wait = 1000; !stop.signal.aborted; wait = Math.min(wait * 2, 8000)) {
      const q = new URLSearchParams({ follow: "true", last: "300" });
      if (this.app) q.set("app", this.app);
      if (this.slot !== null) q.set("slot", this.slot);
      if (this.grep) q.set("grep", this.grep);
      if (this.last) q.set("after", this.last);
      try {
        await follow("/v1/logs?" + q, stop.signal, (line) => { wait = 500; this.add(line); });
        this.problem("");
      } catch (e) {
        if (stop.signal.aborted) return;
        this.problem(e.status ? "Logs: " + e.message : "");
        if (e.status === 400 || e.status === 501 || e.status === 403) return; // not better the next time
      }
      await new Promise((done) => setTimeout(done, wait));
    }
  }

  problem(text) { byId("logs-problem").hidden = !text; say(byId("logs-problem"), text); }

  add(line) {
    this.problem("");
    if (line.id) this.last = Math.max(this.last, line.id);
    this.queue.push(line);
    if (this.queue.length > kept) this.queue.splice(0, this.queue.length - kept);
    if (!this.due && !this.held) this.due = requestAnimationFrame(() => { this.due = 0; if (!this.held) this.flush(); });
  }

  flush() {
    if (!this.queue.length) return;
    const end = this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 30;
    if (!this.lines) this.box.replaceChildren();
    const fresh = this.queue.splice(0).flatMap((line) => this.rows(line));
    this.box.append(...fresh);
    this.lines = this.box.childElementCount;
    for (; this.lines > kept; this.lines--) this.box.firstElementChild.remove();
    if (end) this.box.scrollTop = this.box.scrollHeight;
  }

  rows(line) {
    const rows = [];
    if (line.missed) rows.push(el("p", { className: "missed" }, `${line.missed} lines were too many for this page`));
    if (!line.text && line.missed) return rows;
    const who = line.app ? line.app + (line.slot === undefined ? "" : "." + line.slot) : "tine";
    rows.push(el("p", { data: { stream: line.stream, level: line.level ?? "" } },
      el("span", { className: "from" }, clock(line.time) + " " + who + " "), el("span", { className: "text" }, plain(line.text).slice(0, 4000))));
    return rows;
  }
}

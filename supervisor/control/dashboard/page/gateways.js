// Gateways: members with their state and why, queues, and the last requests. What members say only ever becomes text.
import { el, byId, say, look, keyed, count, ms, age, many, clock } from "./dom.js";
import { getJSON } from "./api.js";

const looks = { ready: "good", starting: "busy", draining: "warn", paused: "warn", ejected: "bad", down: "bad" };
const mostRows = 200; // members that are shown of a gateway
const lastOnes = 10; // requests that are shown of a gateway

// hasGateway says by a status whether there may be one: its table of members is a cached value.
const hasGateway = (status) => status.cache.values.some((v) => v.source === "members");

export class Gateways {
  all = [];
  silent = [];
  last = new Map(); // requests by app
  busy = false;

  // ask asks the master, unless it is being asked or has no gateway. An answer may come after the next status: it waits for the workers.
  async ask(status, app, draw) {
    if (this.busy) return;
    if (!hasGateway(status)) {
      this.all = [];
      return;
    }
    this.busy = true;
    try {
      const { gateways, silent } = await getJSON("/v1/gateways");
      this.all = gateways;
      this.silent = silent;
      this.last = new Map(await Promise.all(gateways.filter((g) => !app || g.app === app).map(async (g) => {
        const h = await getJSON(`/v1/gate/history?app=${encodeURIComponent(g.app)}&last=${lastOnes}`);
        return [g.app, h];
      })));
      draw();
    } catch { /* the status says whether the master answers */ } finally {
      this.busy = false;
    }
  }

  draw(app) {
    const shown = this.all.filter((g) => !app || g.app === app);
    byId("gateways").hidden = !shown.length;
    keyed(byId("gateways-list"), shown, (g) => g.app, make, (e, g) => update(e, g, this.silent.filter((w) => w.app === g.app), this.last.get(g.app)));
  }
}

const columns = [["Member"], ["State"], ["Why"], ["In flight", "num"], ["Picks/s", "num"], ["Failed", "num"], ["Latency", "num"], ["Report", "num"], ["Weight", "num"]];
const requestColumns = [["Time"], ["Request"], ["Member"], ["Tries", "num"], ["Waited", "num"], ["Status", "num"], ["Took", "num"], ["Error"]];

function table(label, columns) {
  const body = el("tbody"), head = el("tr");
  for (const [word, className] of columns) head.append(el("th", { scope: "col", className: className ?? "" }, word));
  const box = el("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: label }, el("table", {}, el("thead", {}, head), body));
  return { box, body };
}

function row(columns) {
  const tr = el("tr");
  tr.list = columns.map(([, className]) => el("td", { className: className ?? "" }));
  tr.append(...tr.list);
  return tr;
}

function make(g) {
  const e = el("article", { className: "card app", data: { gateway: g.app }, ariaLabel: "Gateway " + g.app });
  const members = table("Members of " + g.app, columns), requests = table("Last requests of " + g.app, requestColumns);
  e.parts = {
    state: el("span", { className: "state" }), facts: el("p", { className: "facts" }), notes: el("p", { className: "notes" }),
    members: members.body, more: el("p", { className: "muted" }), requests: requests.body, last: el("div", { className: "last" }, el("h4", {}, "Last requests"), requests.box),
  };
  const p = e.parts;
  e.append(el("div", { className: "head" }, el("div", { className: "title" }, el("h3", {}, g.app), p.state)), p.facts, p.notes, members.box, p.more, p.last);
  return e;
}

function update(e, g, silent, history) {
  const p = e.parts, t = g.tally, queues = t.pools.filter((q) => q.queue);
  look(p.state, !t.ready || !g.workers ? "bad" : t.ready < t.listed || queues.some((q) => q.queue.state !== "calm") ? "warn" : "good");
  say(p.state, `${t.ready} of ${many(t.listed, "member")} ready`);
  const all = [...t.members, ...(t.rest ? [t.rest] : [])], sum = (of) => all.reduce((n, m) => n + of(m), 0);
  const facts = [
    "picked by " + [...new Set(t.pools.map((q) => q.way))].join(" and "),
    count(sum((m) => m.picks_second)) + " picks/s", count(sum((m) => m.in_flight)) + " in flight",
    count(t.requests.answered.reduce((a, b) => a + b, t.requests.gone)) + " requests", count(t.requests.failed) + " failed",
    count(t.requests.resent) + " sent again", count(t.requests.withdrawn) + " withdrawn",
    ...queues.map(({ type, queue: q }) => `queue${type ? " of " + type : ""}: ${q.waiting} waiting, ${q.state}, ${count(q.admitted)} admitted, ${count(q.full + q.timeout + q.deadline + q.no_member)} shed`
      + (q.admitted ? `, waited ${ms(q.wait_p99_ms)} (p99)` : "")),
  ];
  keyed(p.facts, facts.map((text, i) => ({ text, i })), (w) => w.i, () => el("span"), (s, w) => say(s, w.text));
  const notes = silent.map((w) => `The worker in slot ${w.slot} does not answer: ${w.why}`);
  p.notes.hidden = !notes.length;
  say(p.notes, notes.join("; "));

  keyed(p.members, t.members.slice(0, mostRows), (m) => "member " + m.id, (m) => {
    const tr = row(columns);
    tr.dataset.member = m.id;
    tr.state = el("span", { className: "state" });
    tr.list[1].append(tr.state);
    return tr;
  }, (tr, m) => {
    const [name, , why, inFlight, picks, failed, latency, report, weight] = tr.list;
    say(name, m.type && !m.id.startsWith(m.type) ? `${m.id} (${m.type})` : m.id);
    look(tr.state, m.state === "ready" && !m.picked ? "warn" : looks[m.state] ?? "none");
    say(tr.state, m.state);
    say(why, m.why);
    say(inFlight, m.in_flight + (m.max_in_flight ? " of " + m.max_in_flight : ""));
    say(picks, count(m.picks_second));
    say(failed, count(m.failed));
    say(latency, m.latency_ms ? ms(m.latency_ms) : "");
    say(report, m.report_age_ms ? age(m.report_age_ms / 1000) : "");
    say(weight, count(m.weight));
  });
  const more = t.members.length - mostRows + (t.rest?.members ?? 0);
  p.more.hidden = more <= 0 && t.members.length > 0;
  say(p.more, t.members.length ? `and ${many(Math.max(0, more), "member")} more` : "It has no member.");

  p.last.hidden = !history?.kept;
  if (p.last.hidden) return;
  keyed(p.requests, history.decisions, (d) => `${d.worker} ${d.request.id} ${d.request.at}`, () => row(requestColumns), (tr, { request: q }) => {
    const [time, id, member, tries, waited, status, took, error] = tr.list;
    say(time, clock(q.at));
    say(id, q.id);
    say(member, q.chosen ?? "");
    say(tries, q.picks);
    say(waited, ms(q.queued_ms));
    say(status, q.running ? "running" : q.status || "gone");
    say(took, ms(q.took_ms));
    say(error, q.error ?? "");
  });
}

// What the charts show: made of one status after another, the newest so many.

export const span = 300; // seconds that are kept

export class History {
  samples = []; // {t, apps: {name: {rate, p50, p99, inflight}}}
  before = null; // {t, slots: {app: {slot: requests}}}

  add(status, t) {
    const slots = {}, apps = {};
    for (const app of status.apps) {
      const mine = (slots[app.name] = {});
      const s = (apps[app.name] = { rate: null, p50: 0, p99: 0, inflight: 0 });
      for (const w of app.workers) {
        mine[w.slot] = Math.max(mine[w.slot] ?? 0, w.requests); // in a surge the newer worker's row has the slot's sum
        s.inflight += w.in_flight;
        s.p50 = Math.max(s.p50, w.p50_ms);
        s.p99 = Math.max(s.p99, w.p99_ms);
      }
      const old = this.before?.slots[app.name], seconds = (t - this.before?.t) / 1000;
      if (old && seconds > 0) {
        let done = 0;
        for (const [slot, n] of Object.entries(mine)) if (slot in old) done += Math.max(0, n - old[slot]);
        s.rate = done / seconds;
      }
    }
    this.before = { t, slots };
    this.samples.push({ t, apps });
    while (this.samples[0].t < t - span * 1000) this.samples.shift();
  }

  // seconds is how much of it a chart shows: a little at first, so that the beginning is
  // not a dot at the edge.
  seconds() {
    const known = this.samples.length ? (this.samples.at(-1).t - this.samples[0].t) / 1000 : 0;
    return [60, 120].find((s) => known <= s) ?? span;
  }

  // forget begins anew, as for another master.
  forget() { this.samples = []; this.before = null; }

  // points are the pairs of time and value of an app; null where nothing is known.
  points(app, field) { return this.samples.map((s) => [s.t, s.apps[app]?.[field] ?? null]); }

  names() { return Object.keys(this.samples.at(-1)?.apps ?? {}); }
}

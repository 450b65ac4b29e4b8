// Cached values: which, how old, from where. Their contents are not for the page.
import { el, byId, say, keyed, age, bytes } from "./dom.js";

export function draw(cache) {
  say(byId("epoch"), cache.epoch ? "epoch " + cache.epoch : "");
  const body = byId("cache");
  if (!cache.values.length) {
    keyed(body, [null], () => "none", () => el("tr", {}, el("td", { colSpan: 5, className: "empty" }, "This master has no cached value.")), () => {});
    return;
  }
  keyed(body, cache.values, (v) => "value " + v.key, (v) => {
    const row = el("tr", { data: { key: v.key } });
    row.cells5 = ["", "num", "num", "num", ""].map((className) => el("td", { className }));
    row.error = el("span", { className: "bad" });
    row.source = el("span");
    row.cells5[4].append(row.source, row.error);
    row.append(...row.cells5);
    return row;
  }, (row, v) => {
    say(row.cells5[0], v.key);
    say(row.cells5[1], v.epoch || "none yet");
    say(row.cells5[2], v.epoch ? age(v.age_s) : "");
    say(row.cells5[3], bytes(v.bytes));
    say(row.source, v.source);
    say(row.error, v.error);
    row.classList.toggle("fresh", v.epoch > 0 && v.age_s < 3);
  });
}

// Elements and words. Text from the master only ever becomes text, never markup.

export const byId = (id) => document.getElementById(id);

// el makes an element: el("p", {className: "x"}, "text", child).
export function el(tag, props, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name === "data") Object.assign(e.dataset, value);
    else if (name in e) e[name] = value;
    else e.setAttribute(name, value);
  }
  e.append(...children);
  return e;
}

// say changes a text only if it differs, so that a status without news paints nothing.
export function say(node, text) {
  text = String(text);
  if (node.textContent !== text) node.textContent = text;
}

export function look(node, value) {
  if (node.dataset.look !== value) node.dataset.look = value;
}

// keyed makes parent's children those of items, in their order, and keeps the ones
// that are there: focus and selection survive.
export function keyed(parent, items, keyOf, make, update) {
  parent.known ??= new Map();
  const known = parent.known, seen = new Set();
  let at = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    seen.add(key);
    let child = known.get(key);
    if (!child) known.set(key, child = make(item));
    update(child, item);
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
  for (const [key, child] of known) {
    if (!seen.has(key)) { child.remove(); known.delete(key); }
  }
  while (at) { const next = at.nextElementSibling; if (![...known.values()].includes(at)) at.remove(); at = next; }
}

// announce tells a screen reader, at most every two seconds, the newest thing.
let waiting = "", busy = false;
export function announce(text) {
  waiting = text;
  if (busy) return;
  busy = true;
  say(byId("said"), waiting);
  waiting = "";
  setTimeout(() => { busy = false; if (waiting) announce(waiting); }, 2000);
}

export function count(n) {
  if (n >= 1e6) return (n / 1e6).toFixed(n >= 1e7 ? 0 : 1) + " M";
  if (n >= 1e4) return (n / 1e3).toFixed(n >= 1e5 ? 0 : 1) + " k";
  return n >= 100 || Number.isInteger(n) ? String(Math.round(n)) : n.toFixed(1);
}

export function ms(n) {
  if (!n) return "0 ms";
  if (n >= 1000) return (n / 1000).toFixed(n >= 10000 ? 0 : 1) + " s";
  return (n >= 100 ? n.toFixed(0) : n >= 1 ? n.toFixed(1) : n.toFixed(2)) + " ms";
}

export function bytes(n) {
  if (n >= 2 ** 30) return (n / 2 ** 30).toFixed(1) + " GiB";
  if (n >= 2 ** 20) return (n / 2 ** 20).toFixed(n >= 2 ** 24 ? 0 : 1) + " MiB";
  return n >= 2 ** 10 ? (n / 2 ** 10).toFixed(1) + " KiB" : n + " B";
}

export function age(s) {
  if (s < 60) return Math.floor(s) + " s";
  if (s < 3600) return Math.floor(s / 60) + " min";
  if (s < 172800) return Math.floor(s / 3600) + " h";
  return Math.floor(s / 86400) + " d";
}

export const clock = (time) => new Date(time).toLocaleTimeString([], { hour12: false });

export const many = (n, word) => n + " " + word + (n === 1 ? "" : "s");

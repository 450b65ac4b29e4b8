// A line chart over time, as SVG.
import { el, say, clock } from "./dom.js";

const ns = "http://www.w3.org/2000/svg";
const svg = (tag, attributes, text) => {
  const e = document.createElementNS(ns, tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  if (text !== undefined) e.textContent = text;
  return e;
};

const left = 46, right = 6, top = 8, bottom = 18; // pixels around the lines
const gap = 4000; // milliseconds without a sample: the line is interrupted

// nice is the next of 1, 2, 5, 10, ... that is not less.
function nice(n) {
  const p = 10 ** Math.floor(Math.log10(n));
  for (const step of [1, 2, 5]) if (n <= step * p) return step * p;
  return 10 * p;
}

export class Chart {
  series = []; marks = []; cross = null; now = 0; length = 60000; // milliseconds

  constructor(figure, title, format, least) {
    Object.assign(this, { figure, title, format, least });
    this.value = el("span", { className: "value" });
    this.legend = el("ul", { className: "legend" });
    this.svg = svg("svg", { role: "img", tabindex: "0" });
    figure.append(el("figcaption", {}, el("h3", {}, title), this.value), this.svg, this.legend);
    new ResizeObserver(() => this.draw()).observe(this.svg);
    this.svg.addEventListener("pointermove", (e) => this.point(e.clientX - this.svg.getBoundingClientRect().left));
    this.svg.addEventListener("pointerleave", () => this.leave());
    this.svg.addEventListener("blur", () => this.leave());
    this.svg.addEventListener("keydown", (e) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
      if (!by) return;
      e.preventDefault();
      this.cross = Math.min(this.now, Math.max(this.now - this.length, (this.cross ?? this.now) + by * this.length / 60));
      this.draw();
    });
  }

  leave() { this.cross = null; this.draw(); }

  point(x) {
    const width = this.svg.clientWidth - left - right;
    this.cross = this.now - this.length * (1 - Math.min(1, Math.max(0, (x - left) / width)));
    this.draw();
  }

  // show takes the lines {name, colour, points} and the marks {t, look} of a moment,
  // and how many seconds before it to show.
  show(series, marks, now, seconds, headline) {
    Object.assign(this, { series, marks, now, length: seconds * 1000, headline });
    this.draw();
  }

  draw() {
    const width = this.svg.clientWidth, height = this.svg.clientHeight;
    if (!width || !this.now) return;
    const from = this.now - this.length, w = width - left - right, h = height - top - bottom;
    let most = this.least;
    for (const s of this.series) for (const [t, v] of s.points) if (t >= from && v > most) most = v;
    most = nice(most);
    const x = (t) => left + w * (t - from) / this.length, y = (v) => top + h * (1 - v / most);
    const parts = [];
    for (const part of [0, 0.5, 1]) {
      const at = y(most * part);
      parts.push(svg("line", { class: "grid", x1: left, x2: width - right, y1: at, y2: at }),
        svg("text", { x: left - 6, y: at + 4, "text-anchor": "end" }, this.format(most * part)));
    }
    for (const [part, anchor] of [[1, "start"], [0.5, "middle"], [0, "end"]]) {
      const s = part * this.length / 1000;
      parts.push(svg("text", { x: x(this.now - s * 1000), y: height - 3, "text-anchor": anchor }, !s ? "now" : s < 60 ? `−${s} s` : `−${s / 60} min`));
    }
    for (const m of this.marks) {
      if (m.t >= from) parts.push(svg("line", { class: "mark", "data-look": m.look, x1: x(m.t), x2: x(m.t), y1: top, y2: top + h }));
    }
    for (const s of this.series) {
      let d = "", last = -Infinity;
      for (const [t, v] of s.points) {
        if (v === null || t < from) { last = -Infinity; continue; }
        d += (t - last > gap ? "M" : "L") + x(t).toFixed(1) + " " + y(v).toFixed(1);
        last = t;
      }
      const line = svg("path", { class: "line", d });
      line.style.stroke = s.colour;
      parts.push(line);
    }
    if (this.cross) parts.push(svg("line", { class: "cross", x1: x(this.cross), x2: x(this.cross), y1: top, y2: top + h }));
    this.svg.replaceChildren(...parts);
    this.words();
  }

  words() {
    const at = (s) => {
      if (!this.cross) return s.points.at(-1)?.[1] ?? null;
      const p = s.points.reduce((a, b) => (Math.abs(b[0] - this.cross) < Math.abs(a[0] - this.cross) ? b : a), [Infinity, null]);
      return Math.abs(p[0] - this.cross) <= gap ? p[1] : null;
    };
    const text = (v) => (v === null ? "–" : this.format(v));
    say(this.value, this.cross ? "at " + clock(this.cross) : text(this.headline));
    const rows = this.series.map((s) => {
      const swatch = el("i");
      swatch.style.background = s.colour;
      return el("li", {}, swatch, `${s.name} ${text(at(s))}`);
    });
    this.legend.replaceChildren(...rows);
    this.svg.setAttribute("aria-label", `${this.title}: now ${text(this.headline)}. ` + this.series.map((s) => `${s.name} ${text(s.points.at(-1)?.[1] ?? null)}`).join(", "));
  }
}

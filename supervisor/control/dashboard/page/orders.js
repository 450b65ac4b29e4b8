// Orders: asked about first, then watched to their end.
import { el, byId, say, look, announce, many } from "./dom.js";
import { access, order, token } from "./api.js";

const dialog = byId("ask");
let answer = null; // of the question that is open

byId("ask-no").onclick = () => dialog.close();
dialog.addEventListener("close", () => { byId("ask-input").value = ""; answer = null; });
byId("ask-form").addEventListener("submit", async (e) => {
  e.preventDefault();
  const give = answer, input = byId("ask-input");
  if (!give) return;
  byId("ask-yes").disabled = true;
  try {
    await give(input.value.trim());
    if (answer === give) dialog.close();
  } catch (err) {
    byId("ask-problem").hidden = false;
    say(byId("ask-problem"), err.message);
    input.select();
  } finally {
    byId("ask-yes").disabled = false;
  }
});

// question opens the dialog. give gets what was typed, and throws what was wrong with it.
function question({ title, text, yes, field }, give) {
  say(byId("ask-title"), title);
  say(byId("ask-text"), text);
  say(byId("ask-yes"), yes);
  byId("ask-problem").hidden = true;
  byId("ask-field").hidden = !field;
  const input = byId("ask-input");
  if (field) {
    say(byId("ask-label"), field.label);
    input.type = field.type;
    if (field.type === "number") Object.assign(input, { min: field.min, max: field.max, step: 1 });
    else for (const name of ["min", "max", "step"]) input.removeAttribute(name);
    input.required = true;
    input.value = field.value ?? "";
  } else {
    input.required = false;
  }
  answer = give;
  dialog.showModal();
  if (field) input.select();
  else byId("ask-no").focus();
}

export class Orders {
  possible = false; granted = false;

  // changed is called when the page may or may no longer give orders.
  constructor(changed) {
    this.changed = changed;
    byId("unlock").onclick = () => (this.granted ? this.lock() : this.unlock());
  }

  async check() {
    try {
      const a = await access(token.get());
      Object.assign(this, { possible: a.orders, granted: a.granted });
      if (a.orders && !a.granted) token.set("");
    } catch { return; } // it will be asked again
    this.show();
  }

  show() {
    byId("unlock").hidden = !this.possible;
    say(byId("unlock"), this.granted ? "Lock orders" : "Unlock orders");
    this.changed();
  }

  lock() { token.set(""); this.granted = false; this.show(); announce("Orders are locked"); }

  unlock() {
    question({ title: "Unlock orders", text: "The token is in the file that the config names as dashboard.token_file. This tab alone keeps it, until it is closed.", yes: "Unlock", field: { label: "Token", type: "password" } }, async (text) => {
      const a = await access(text);
      if (!a.granted) throw new Error("That is not the token.");
      token.set(text);
      this.granted = true;
      this.show();
      announce("Orders are unlocked");
    });
  }

  // ask asks whether an order is meant, and then carries it out.
  ask(app, verb, slot) {
    if (!this.granted) return this.possible ? this.unlock() : undefined;
    const carry = (fields) => { this.carry(app.name, verb, fields); };
    const where = { app: app.name, slot };
    switch (verb) {
      case "reload":
        return question({ title: `Reload ${where.app}?`, text: `Its ${many(app.desired, "worker")} are replaced one after the other with what is on disk now. Requests under way are finished.`, yes: "Reload" }, async () => carry({}));
      case "scale":
        return question({ title: `Scale ${where.app}`, text: `It has ${many(app.desired, "worker")} now. With fewer, the last slots are drained.`, yes: "Scale", field: { label: "Workers", type: "number", min: 0, max: 1024, value: app.desired } }, async (text) => {
          const n = Number(text);
          if (!/^\d+$/.test(text) || n > 1024) throw new Error("A whole number from 0 to 1024, please.");
          if (n === 0 && !byId("ask-problem").dataset.warned) {
            byId("ask-problem").dataset.warned = "yes";
            throw new Error("With 0 workers no request is answered. Press Scale again if that is meant.");
          }
          delete byId("ask-problem").dataset.warned;
          carry({ n });
        });
      case "drain":
        return question({ title: `Drain slot ${slot} of ${where.app}?`, text: "New connections go to the other slots, its requests are finished, and the slot stays empty until it is started.", yes: "Drain" }, async () => carry({ slot }));
      case "start":
        return question({ title: `Start slot ${slot} of ${where.app}?`, text: "The slot gets a worker again.", yes: "Start" }, async () => carry({ slot }));
    }
  }

  async carry(app, verb, fields) {
    const name = verb + (fields.slot === undefined ? "" : " slot " + fields.slot) + (fields.n === undefined ? "" : " to " + fields.n);
    const line = el("span"), note = el("div", { className: "order", data: { verb, app } }, el("div", {}, line));
    const article = [...document.querySelectorAll("#apps article")].find((a) => a.dataset.app === app);
    article?.querySelectorAll(".order[data-look=good]").forEach((old) => old.remove());
    article?.querySelector(".tiles").before(note);
    look(note, "busy");
    const done = (how, text, output) => {
      look(note, how);
      say(line, text);
      announce(app + ": " + text);
      if (output) line.after(el("pre", { tabIndex: 0 }, output));
      note.append(el("button", { type: "button", className: "small", onclick: () => note.remove() }, "Dismiss"));
      if (how === "good") setTimeout(() => note.remove(), 8000);
    };
    say(line, name + " …");
    try {
      const p = await order(app, verb, fields, (p) => {
        if (!p.final) say(line, `${name}: ${p.total ? `${p.done} of ${p.total}, ` : ""}${p.message || p.state || "under way"}`);
      });
      p.ok ? done("good", p.message || name + " done") : done("bad", `${name} failed: ${p.error}`, p.output);
    } catch (e) {
      if (e.status === 401) this.lock();
      done("bad", `${name}: ${e.status ? e.message : "no answer from the master: " + e.message}`);
    }
  }
}

// What the page asks the master, and the token, which only this tab keeps.

const key = "tine-token";

export const token = {
  get: () => { try { return sessionStorage.getItem(key) ?? ""; } catch { return memory; } },
  set: (t) => { memory = t; try { t ? sessionStorage.setItem(key, t) : sessionStorage.removeItem(key); } catch { /* kept in memory */ } },
};
let memory = "";

const bearer = (t) => (t ? { Authorization: "Bearer " + t } : {});

// problem is the error of an answer that is not a success.
async function problem(res) {
  let text = res.status + " " + res.statusText;
  try {
    const doc = await res.json();
    text = doc.detail || doc.error || doc.title || text;
  } catch { /* it was no JSON */ }
  const e = new Error(text);
  e.status = res.status;
  return e;
}

export async function getJSON(path, { signal, as } = {}) {
  const limits = [AbortSignal.timeout(8000)];
  if (signal) limits.push(signal);
  const res = await fetch(path, { signal: AbortSignal.any(limits), headers: bearer(as), credentials: "omit" });
  if (!res.ok) throw await problem(res);
  return res.json();
}

// access says whether orders are possible, and with this token.
export const access = (as) => getJSON("/access", { as });

// lines gives each object of an answer that is one JSON object a line.
async function lines(res, each) {
  const reader = res.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { value, done } = await reader.read();
    const parts = (rest + (value ?? "")).split("\n");
    rest = parts.pop();
    for (const part of parts) if (part) each(JSON.parse(part));
    if (done) return;
  }
}

export async function follow(path, signal, each) {
  const res = await fetch(path, { signal, credentials: "omit" });
  if (!res.ok) throw await problem(res);
  await lines(res, each);
}

// order carries out a verb and gives each step; the last one is returned.
export async function order(app, verb, fields, step) {
  const res = await fetch(`/v1/apps/${encodeURIComponent(app)}/${verb}`, {
    method: "POST", credentials: "omit",
    headers: { "Content-Type": "application/json", Accept: "application/x-ndjson", ...bearer(token.get()) },
    body: JSON.stringify({ ...fields, reason: "dashboard" }),
  });
  if (!res.ok) throw await problem(res);
  let last = null;
  await lines(res, (p) => { last = p; step(p); });
  if (!last?.final) throw new Error("the answer ended before the order did");
  return last;
}

// Labels out to other tools and in again. An upload is read and explained first; only then a person lets it in.
import { el } from "../core/dialog.js";
import { may } from "../core/session.js";
import { get } from "../core/api.js";
import { filterBar, query } from "./filters.js";
import { binary } from "./labelling.js";

const FORMATS = ["png", "coco", "cvat", "label-studio"];
const MOST_BYTES = 150_000_000, SHOWN = 300;

export function exchangeScreen(app, root) {
  const bar = filterBar(() => {}, { todo: false });
  const kind = el("select", { label: "review.exchange.format" }, ...FORMATS.map((name) => el("option", { value: name, text: `review.format.${name}` })));
  const pictures = el("input", { type: "checkbox" });
  pictures.checked = true;
  const file = el("input", { type: "file", hidden: true, accept: ".zip,.json,.xml", onchange: () => file.files[0] && look(file.files[0]) });
  const drop = el("div", { class: "rv-drop", tabindex: "0", role: "button", text: "review.exchange.drop", onclick: () => file.click() });
  const answer = el("div", { "data-list": "import" });
  root.append(el("div", { class: "rv-page-in" },
    el("div", { class: "rv-card" }, el("h2", { text: "review.exchange.out" }), el("p", { text: "review.exchange.out_how" }),
      el("div", { class: "rv-row" }, bar.node, kind, el("label", { class: "rv-check" }, pictures, el("span", { text: "review.exchange.with_pictures" })),
        el("button", { type: "button", class: "act", "data-act": "export", text: "review.exchange.export", onclick: () => save() }))),
    el("div", { class: "rv-card" }, el("h2", { text: "review.exchange.in" }), el("p", { text: "review.exchange.in_how" }), drop, file, answer)));
  drop.onkeydown = (event) => event.key === "Enter" && file.click();
  for (const name of ["dragenter", "dragover", "dragleave", "drop"])
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name.startsWith("drage") || name === "dragover");
      if (name === "drop") drop.classList.remove("over"), event.dataTransfer.files[0] && look(event.dataTransfer.files[0]);
    });

  async function save() {
    try {
      app.toast("review.exchange.packing");
      const blob = await (await binary(`/api/review/export.zip?${query({ format: kind.value, images: String(pictures.checked), todo: "false" })}`, { signal: AbortSignal.timeout(600000) })).blob();
      const link = el("a", { href: URL.createObjectURL(blob), download: `labels-${kind.value}.zip` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 30000);
    } catch (error) {
      app.fail(error);
    }
  }

  const send = async (chosen, more) => (await binary(`/api/review/import?${new URLSearchParams({ name: chosen.name, ...more })}`, { method: "POST", body: chosen, signal: AbortSignal.timeout(600000) })).json();

  async function look(chosen) {
    file.value = "";
    if (chosen.size > MOST_BYTES) return refuse("review.error.file_too_large", { mb: Math.round(chosen.size / 1e6), most: MOST_BYTES / 1e6 });
    answer.replaceChildren(el("p", { text: "review.exchange.reading" }));
    try {
      plan(chosen, await send(chosen, { dry: "true" }));
    } catch (error) {
      refuse(error.key ?? "review.error.unexpected", error.args ?? { detail: String(error) });
    }
    return undefined;
  }

  function refuse(key, args) {
    answer.replaceChildren(el("div", { class: "rv-error", "data-error": key }, el("span", { text: key, values: args }), " ", el("span", { text: "review.exchange.nothing_changed" })));
  }

  function plan(chosen, found) {
    const count = (state) => found.pictures.filter((one) => one.state === state).length;
    const allow = el("input", { type: "checkbox" });
    const go = el("button", { type: "button", class: "good", "data-act": "import", disabled: !count("new") || !may("quality"), text: "review.exchange.take", values: { n: count("new") }, onclick: () => take(chosen, allow.checked) });
    answer.replaceChildren(
      el("p", { text: "review.exchange.summary", values: { file: chosen.name, all: found.pictures.length, fresh: count("new"), same: count("same"), unknown: count("unknown"), size: count("size") } }),
      found.unknown_classes.length ? el("label", { class: "rv-check" }, allow, el("span", { text: "review.exchange.new_classes", values: { names: found.unknown_classes.join(", ") } })) : "",
      el("div", { class: "rv-row" }, go),
      table(found.pictures));
  }

  const kinds = { saved: "ok", new: "ok", same: "" };
  const notes = (one) => one.notes.flatMap(({ code, values }, n) => [n ? "; " : "", el("span", { text: `review.import.note_${code}`, values })]);
  const row = (one) => el("tr", {}, el("td", {}, one.name), el("td", { class: `rv-state ${kinds[one.state] ?? "no"}`, text: `review.import.${one.state}` }), el("td", {}, ...notes(one)));
  const table = (rows) => el("table", { class: "rv-table" }, ...rows.slice(0, SHOWN).map(row));

  async function take(chosen, allow) {
    try {
      const done = await send(chosen, { dry: "false", new_classes: String(allow) });
      answer.replaceChildren(el("p", { class: "rv-state ok", text: "review.exchange.saved", values: { n: done.saved } }), table(done.pictures));
    } catch (error) {
      // What was read stays on the screen; the person changes the choice and tries again.
      app.fail(error);
    }
  }

  get(`/api/review/queues?${query()}`).then((found) => bar.fill(found.choices), app.fail);
  return { language() {} };
}

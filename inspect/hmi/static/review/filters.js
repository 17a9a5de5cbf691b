// The filters that queue, charts and export share, kept over screens and reloads of this browser tab.
import { el } from "../core/dialog.js";
import { t } from "../core/texts.js";

const STORE = "linegate-review-filters";
const HOURS = [1, 8, 24, 168];
const SPAN = "span"; // from and to, as typed
/** time: "" | "<n>h" back from now | "<from>-<to>", a shift in UTC ns | span. */
export const filters = { class: "", lot: "", recipe: "", time: "", from: "", to: "", todo: true, ...JSON.parse(sessionStorage.getItem(STORE) || "{}") };

// BigInt: nanoseconds do not fit a double
const ns = (ms) => String(BigInt(Math.round(ms)) * 1_000_000n);
const typed = (text) => (text && !Number.isNaN(Date.parse(text)) ? ns(Date.parse(text)) : "");

/** The time that is chosen, as [from, to] in UTC ns; "" leaves an end open. */
function between() {
  const { time, from, to } = filters;
  if (time === SPAN) return [typed(from), typed(to)];
  if (/^\d+h$/.test(time)) return [ns(Date.now() - parseInt(time, 10) * 3600_000), ""];
  return /^\d+-\d+$/.test(time) ? time.split("-") : ["", ""];
}

export function query(more = {}) {
  const params = new URLSearchParams();
  const [from, to] = between();
  for (const [name, value] of Object.entries({ class: filters.class, lot: filters.lot, recipe: filters.recipe, from, to })) if (value) params.set(name, value);
  params.set("todo", String(filters.todo));
  for (const [name, value] of Object.entries(more)) params.set(name, value);
  return params.toString();
}

/** Selects, and the ends of a free span where that is chosen; onchange() after each choice. Returns {node, fill(choices)}. */
export function filterBar(onchange, { todo = true } = {}) {
  const choose = (name, value) => {
    filters[name] = value;
    sessionStorage.setItem(STORE, JSON.stringify(filters));
    ends.hidden = filters.time !== SPAN;
    onchange();
  };
  const select = (name, label) => el("select", { "data-filter": name, label, onchange: (event) => choose(name, event.target.value) });
  const end = (name) => el("input", { type: "datetime-local", "data-filter": name, label: `review.filter.${name}`, value: filters[name], onchange: (event) => choose(name, event.target.value) });
  const selects = { class: select("class", "review.filter.class"), time: select("time", "review.filter.time"), lot: select("lot", "review.filter.lot"), recipe: select("recipe", "review.filter.recipe") };
  const ends = el("div", { class: "rv-ends", hidden: filters.time !== SPAN }, ...["from", "to"].map((name) => el("label", {}, el("small", { text: `review.filter.${name}` }), end(name))));
  const box = el("input", { type: "checkbox", "data-filter": "todo", onchange: () => choose("todo", box.checked) });
  box.checked = filters.todo;
  const node = el("div", { class: "rv-filters" }, ...Object.values(selects), ends, todo ? el("label", { class: "rv-check" }, box, el("span", { text: "review.filter.todo" })) : null);
  const option = (value, text) => el("option", { value }, text);
  return {
    node,
    fill({ classes = [], lots = [], recipes = [], shifts = [] }) {
      const put = (name, all, options, chosen = (value) => value) => {
        selects[name].replaceChildren(option("", t(all)), ...options);
        selects[name].value = String(filters[name]);
        if (selects[name].selectedIndex < 0) selects[name].append(option(filters[name], chosen(filters[name]))), (selects[name].value = filters[name]);
      };
      put("class", "review.filter.all_classes", classes.map((name) => option(name, name)));
      put("lot", "review.filter.all_lots", lots.map((name) => option(name, name)));
      put("recipe", "review.filter.all_recipes", recipes.map((r) => option(String(r.id), r.name)));
      put("time", "review.filter.all_times", [
        ...HOURS.map((n) => option(`${n}h`, t("review.filter.hours", { n }))),
        ...shifts.map((shift, n) => option(`${shift.from}-${shift.to}`, n ? shiftText(shift) : t("review.filter.this_shift", { shift: shiftText(shift) }))),
        option(SPAN, t("review.filter.span")),
      ], (value) => value.split("-").map((utcNs) => new Date(Number(utcNs) / 1e6).toLocaleString()).join(" – ")); // a shift of long ago
    },
  };
}

// Day and times are the station's, wherever the reader sits; only the weekday's name is the reader's.
function shiftText({ day, start, end }) {
  const name = new Date(`${day}T12:00`).toLocaleDateString(document.documentElement.lang, { weekday: "short", day: "2-digit", month: "2-digit" });
  return `${name} ${start}–${end}`;
}

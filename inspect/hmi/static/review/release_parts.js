// What the release page shows in more than one place: progress, the gate's conditions, a certificate, what the shadow came to.
import { el } from "../core/dialog.js";
import { number, t } from "../core/texts.js";
import { when } from "./screen_trace.js";

/** How far a job is, with its worker's words. */
export const meter = (row) => el("div", { class: "rv-row", style: "margin-top:6px" },
  el("div", { class: "rv-meter", style: "flex:1" }, el("i", { style: `width:${Math.round(row.progress * 100)}%` })),
  el("small", {}, `${number(row.progress * 100)} % ${row.progress_text}`));

const state = (held) => el("span", { class: `rv-state ${held ? "ok" : "no"}`, text: held ? "review.passed" : "review.not_passed" });
const line = (one) => el("tr", {}, el("td", {}, one.name), el("td", {}, state(one.held), " ", one.finding ?? ""));
const held = (all) => `${all.filter((one) => one.held).length} / ${all.length}`;

/** The gate's conditions: those that fail are seen at once, the others are a click away. */
export function conditions(all) {
  const failed = all.filter((one) => !one.held);
  return el("div", {},
    el("span", { class: `rv-state ${failed.length ? "no" : "ok"}`, text: failed.length ? "review.release.refused" : "review.release.held" }), el("small", {}, ` (${held(all)})`),
    failed.length ? el("table", { class: "rv-table" }, ...failed.map(line)) : null);
}

/** The conditions first, each with its finding; below, everything else as it stands in the bundle. */
export function certificate(found) {
  if (!found) return el("p", { class: "rv-state no", text: "review.bundle.no_certificate" });
  const all = found.conditions ?? [], rows = [];
  const plain = (value) => (value && typeof value === "object" ? Object.entries(value).map(([key, inner]) => `${key} ${plain(inner)}`).join(", ") : String(value));
  for (const [name, value] of Object.entries(found)) {
    if (name === "conditions") continue;
    for (const one of Array.isArray(value) ? value : [value]) rows.push([name, plain(one)]);
  }
  return el("details", { class: "rv-certificate" }, el("summary", {}, t("review.bundle.certificate"), ` (${held(all)})`),
    el("table", { class: "rv-table" }, ...all.map(line), ...rows.map(([name, value]) => el("tr", {}, el("td", {}, name.replaceAll("_", " ")), el("td", {}, value)))));
}

const FIGURES = ["judged", "skipped", "worse", "milder", "failed"];

/** Counts of a bundle that judges or judged in shadow; [] where it has judged nothing. */
export const figures = (found) => (found ? FIGURES.flatMap((name) => [el("dt", { text: `review.shadow.${name}` }), el("dd", { "data-figure": name }, number(found[name]))]) : []);

/** The counts of the bundle that is in shadow now, the parts it would have judged otherwise, and the last events. */
export function shadowResults({ shadow, shadow_events: events }) {
  const rows = events.map((event) => el("tr", {}, el("td", {}, el("small", {}, when(event.at_utc_ns))), el("td", {}, event.text), el("td", {}, event.key ? el("a", { href: `#/trace/${event.key}` }, event.key) : "")));
  return [
    shadow?.figures ? el("dl", { class: "rv-facts" }, ...figures(shadow.figures)) : null,
    el("p", {}, el("a", { href: "#/queue/shadow", "data-act": "disagreements", text: "review.shadow_queue" })),
    events.length ? el("table", { class: "rv-table" }, ...rows) : el("p", { text: "review.shadow_none" }),
  ].filter(Boolean);
}

// This batch in figures: yield and ppm with their counts and the exact 95 % bound, then the counts themselves.
import { el } from "../core/dialog.js";
import { number, t } from "../core/texts.js";
import { set } from "./verdict.js";

export class Numbers {
  constructor() {
    this.rows = {};
    const big = (name) => this.tile(name, "lg-big");
    const small = (name) => this.tile(name, "lg-small");
    this.node = el("section", { class: "lg-numbers" }, big("yield"), big("ppm"), small("inspected"), small("good"), small("rejected"));
  }

  tile(name, kind) {
    const label = el("span", { class: "lg-label" });
    const value = el("b", {});
    const note = el("small", {});
    this.rows[name] = { label, value, note };
    return el("div", { class: `lg-number ${kind}`, "data-number": name }, label, value, note);
  }

  put(name, values, label, value, note) {
    const row = this.rows[name];
    set(row.label, t(label, values));
    set(row.value, value);
    set(row.note, note);
    row.note.dataset.long = String(note.length > 26);
  }

  show(status) {
    const lot = status?.lot;
    if (!lot) return;
    const { ok = 0, ng = 0, review = 0, not_inspected: none = 0 } = lot;
    const all = ok + ng + review + none;
    const judged = ok + ng + review;
    const rates = status.rates || {};
    const percent = (share) => `${number(share * 100, 2)} %`;
    const known = (value) => value !== null && value !== undefined;
    this.put("yield", {}, "operator.number.yield", all ? percent(ok / all) : "–", all ? t("operator.number.of_least", { k: number(ok), n: number(all), bound: known(rates.yield_least) ? percent(floor(rates.yield_least)) : "–" }) : "");
    this.put("ppm", {}, "operator.number.ppm", judged ? number(Math.round((ng / judged) * 1e6)) : "–", judged ? t("operator.number.of_most", { k: number(ng), n: number(judged), bound: known(rates.ppm_most) ? number(Math.ceil(rates.ppm_most)) : "–" }) : "");
    this.put("inspected", {}, "operator.number.inspected", number(all), "");
    this.put("good", {}, "operator.number.good", number(ok), "");
    this.put("rejected", {}, "operator.number.rejected", number(ng + review + none), review + none ? t("operator.number.split", { review: number(review), none: number(none) }) : "");
  }
}

// A bound is rounded to the safe side.
const floor = (share) => Math.floor(share * 10000) / 10000;

// The head of the list: which queue, how many wait in each, the filters, and why these parts are here.
import { get } from "../core/api.js";
import { el } from "../core/dialog.js";
import { number, t } from "../core/texts.js";
import { filterBar, query } from "./filters.js";

export const QUEUES = ["review", "escape", "overkill", "near", "sample", "shadow", "ng", "must_catch", "all"];
const RECOUNT_MS = 1500;

export class QueueHead {
  /** hooks: onQueue(name), onFilter(), fail(error). */
  constructor({ onQueue, onFilter, fail }) {
    this.fail = fail;
    this.queue = "review";
    this.found = null;
    this.asked = 0;
    this.timer = 0;
    this.select = el("select", { class: "rv-queue", label: "review.queue", onchange: () => onQueue(this.select.value) });
    this.bar = filterBar(onFilter);
    this.why = el("p", { class: "rv-why" });
    this.nodes = [this.select, this.bar.node, this.why];
  }

  async count() {
    const mine = ++this.asked;
    clearTimeout(this.timer);
    this.timer = 0;
    try {
      const found = await get(`/api/review/queues?${query()}`);
      if (mine !== this.asked) return;
      this.found = found;
      this.fill();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Soon: it asks the whole log nine questions, so not after each of many quick saves. */
  countSoon() {
    this.timer ||= setTimeout(() => this.count(), RECOUNT_MS);
  }

  fill() {
    if (!this.found) return;
    const { counts, most, choices, sample: { bad, looked, high } } = this.found;
    const count = (n) => (n >= most ? `${most}+` : n);
    this.select.replaceChildren(...QUEUES.map((name) => el("option", { value: name }, `${t(`review.queue.${name}`)}  (${count(counts[name])})`)));
    this.select.value = this.queue;
    this.bar.fill(choices);
    this.why.textContent = this.queue === "sample" ? t("review.sample_line", { bad, looked, bound: number(high * 100, 2) }) : t(`review.why.${this.queue}`);
    this.why.dataset.queue = this.queue;
  }

  close() {
    clearTimeout(this.timer);
    this.asked++;
  }
}

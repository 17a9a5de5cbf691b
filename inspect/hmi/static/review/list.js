// A list of thousands of parts that keeps only what is in sight in the page: rows are asked for in blocks, as they come near.
import { get } from "../core/api.js";
import { el } from "../core/dialog.js";
import { number, t } from "../core/texts.js";
import { byQuality } from "./labelling.js";
import { className } from "./words.js";

const ROW = 84, BLOCK = 40, AHEAD = 4;

export class PartList {
  /** onopen(row, index) when a row is chosen; choose() resolves when it has. */
  constructor(onopen) {
    this.onopen = onopen;
    this.ids = [];
    this.rows = new Map();
    this.asked = new Map();
    this.current = -1;
    this.space = el("div", { class: "rv-list-space" });
    this.node = el("div", { class: "rv-list", role: "listbox", tabindex: "0", label: "review.list" }, this.space);
    this.node.addEventListener("scroll", () => this.draw());
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.node);
  }

  close() {
    this.observer.disconnect();
  }

  /** name: of what is listed; the node carries it. */
  set(ids, name) {
    this.ids = ids;
    this.node.dataset.name = name;
    this.rows.clear();
    this.asked = new Map();
    this.current = -1;
    this.space.style.height = `${ids.length * ROW}px`;
    this.node.scrollTop = 0;
    this.draw();
  }

  /** The row of an index; fetched if it is not here. Throws Refused. */
  async row(index) {
    if (index < 0 || index >= this.ids.length) return null;
    if (!this.rows.has(this.ids[index])) await this.#fetch(index);
    return this.rows.get(this.ids[index]) ?? null;
  }

  async choose(index) {
    const { ids } = this, row = await this.row(index);
    if (!row || this.ids !== ids) return false;
    this.current = index;
    const top = index * ROW, { scrollTop, clientHeight } = this.node;
    if (top < scrollTop) this.node.scrollTop = top;
    else if (top + ROW > scrollTop + clientHeight) this.node.scrollTop = top + ROW - clientHeight;
    this.draw();
    await this.onopen(row, index);
    return true;
  }

  /** What was saved shows at once. */
  mark(key, label) {
    for (const row of this.rows.values()) if (row.key === key) row.label = label;
    this.draw();
  }

  #fetch(index) {
    const block = Math.floor(index / BLOCK), { ids, asked } = this;
    if (!asked.has(block)) {
      const wanted = ids.slice(block * BLOCK, (block + 1) * BLOCK);
      const answer = get(`/api/review/rows?ids=${wanted.join(",")}`).then((rows) => {
        if (this.ids !== ids) return;
        rows.forEach((row) => this.rows.set(row.id, row));
        this.draw();
      });
      answer.catch(() => asked.delete(block)); // asked for again when it is needed again
      asked.set(block, answer);
    }
    return asked.get(block);
  }

  draw() {
    const { scrollTop, clientHeight } = this.node;
    const first = Math.max(0, Math.floor(scrollTop / ROW) - AHEAD), last = Math.min(this.ids.length, Math.ceil((scrollTop + clientHeight) / ROW) + AHEAD);
    const shown = [];
    for (let i = first; i < last; i++) {
      const row = this.rows.get(this.ids[i]);
      if (!row && !this.asked.has(Math.floor(i / BLOCK))) this.#fetch(i).catch(() => {});
      shown.push(this.#item(row, i));
    }
    this.space.replaceChildren(...shown);
  }

  #item(row, index) {
    const item = el("div", { class: "rv-item", role: "option", "aria-selected": String(index === this.current), style: `top:${index * ROW}px`, onclick: () => this.choose(index) });
    if (!row) return item;
    item.dataset.key = row.key;
    item.append(thumb(row), el("div", { class: "rv-item-text" },
      el("b", {}, row.serial || row.key),
      el("span", { class: `rv-badge ${row.decision}` }, t(`review.decision.${row.decision}`)),
      el("small", {}, [className(row.defect_class), row.score === null ? "" : number(row.score, 2)].filter(Boolean).join(" · ")),
      el("small", {}, row.probability !== null && row.probability < 1 ? t("review.chance", { p: number(row.probability * 100, 1) }) : row.lot)));
    if (row.label) item.append(el("span", { class: `rv-done ${row.label.decision}`, title: row.label.by }, !byQuality(row.label) ? "⚑" : row.label.decision === "OK" ? "✓" : "✎"));
    return item;
  }
}

export function thumb(row) {
  if (!row.thumb) return el("div", { class: "rv-thumb" }, el("small", { text: "review.no_picture" }));
  return el("img", { class: "rv-thumb", src: `/api/review/thumbs/${row.thumb}.jpg`, alt: "", loading: "lazy", draggable: "false" });
}

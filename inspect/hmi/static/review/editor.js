// The mask editor: pointer and keys to tools, on top of labels.js (truth) and view.js (what is seen). Knows no server:
// `refine` and `trace` are functions given to it, `onChange` is told after each finished step.
import { History, Labels, rect } from "./labels.js";
import { drawMarks } from "./marks.js";
import { flood, greyOf, Heat, Paint } from "./tools.js";
import { View } from "./view.js";

export const TOOLS = ["brush", "erase", "lasso", "fill", "wand", "heat", "refine", "scissors", "pan"];
const KEYS = { b: "brush", e: "erase", l: "lasso", f: "fill", w: "wand", p: "heat", g: "refine", s: "scissors" };
const MOST_FILL = 0.25; // of the picture: more is a slip of the hand

export class MaskEditor {
  /**
   * host: an empty element, sized by its owner. hooks: onChange(editor), onState(editor), onMessage(key, values),
   * async refine({x, y, w, h, label}) → {x, y, w, h, mask} | null, async trace({from, to}) → [[x, y], …].
   */
  constructor(host, hooks = {}) {
    this.host = host;
    this.hooks = { onChange() {}, onState() {}, onMessage() {}, refine: async () => null, trace: async ({ from, to }) => [from, to], ...hooks };
    host.classList.add("lg-editor");
    this.view = new View(host);
    this.view.drawMarks = (context, view) => drawMarks(this, context, view);
    this.tool = "brush";
    this.size = 12;
    this.tolerance = 24;
    this.threshold = 128;
    this.label = 1;
    this.classes = [];
    this.boxes = [];
    this.pointers = new Map();
    this.line = null;
    this.cursor = null;
    this.readOnly = false;
    this.abort = new AbortController();
    const on = (target, name, act, options = {}) => target.addEventListener(name, act, { signal: this.abort.signal, ...options });
    on(host, "pointerdown", (e) => this.#down(e));
    on(host, "pointermove", (e) => this.#move(e));
    for (const name of ["pointerup", "pointercancel"]) on(host, name, (e) => this.#up(e));
    on(host, "pointerleave", () => this.#hover(null));
    on(host, "dblclick", () => this.tool === "scissors" && this.#closeScissors());
    on(host, "contextmenu", (e) => e.preventDefault());
    on(host, "wheel", (e) => this.#wheel(e), { passive: false });
  }

  close() {
    this.abort.abort();
    this.view.close();
    this.host.replaceChildren();
  }

  /**
   * Show a sheet: {levels: of pyramid(), labels: Uint8Array or null, classes, boxes}. All at once, so that no picture is ever
   * seen, or drawn upon, with another one's mask. Returns the mask that is drawn from now on; it belongs to this sheet alone.
   */
  load({ levels, labels = null, classes, boxes = [] }) {
    this.settle();
    const [{ width, height }] = levels;
    this.grey = this.heat = this.line = null;
    this.bitmap = levels[0];
    this.labels = new Labels(width, height, labels ?? new Uint8Array(width * height));
    this.history = new History(this.labels);
    this.paint = new Paint(this.labels, this.history);
    this.readOnly = false;
    this.boxes = boxes;
    this.view.heat = null;
    this.view.labels = this.labels;
    this.view.setPicture(levels);
    this.setClasses(classes);
    this.view.fit();
    this.hooks.onState(this);
    return this.labels;
  }

  /** Nothing can be drawn until the next load(); what is seen stays until then. */
  unload() {
    this.settle();
    this.labels = this.history = this.heat = this.line = null;
    this.view.heat = null;
    this.hooks.onState(this);
  }

  /** End what the hand is doing: a stroke is kept as far as it got, lines and boxes are let go. */
  settle() {
    if (this.action === "stroke" && this.history?.commit()) this.#after(this.history.past.at(-1).rect);
    this.action = this.pinching = this.line = null;
  }

  setClasses(classes) {
    this.classes = classes;
    if (!this.classes[this.label - 1] || this.classes[this.label - 1].retired) this.label = 1 + Math.max(0, classes.findIndex((c) => !c.retired));
    this.view.setColours(classes);
  }

  setHeat(map) {
    if (!this.labels) return;
    this.heat = map ? new Heat(map.width, map.height, map.data, this.labels.width, this.labels.height) : null;
    this.#preview();
  }

  setTool(tool) {
    if (!TOOLS.includes(tool)) return;
    this.line = null;
    this.tool = tool;
    this.host.dataset.tool = tool;
    this.#preview();
    this.hooks.onState(this);
  }

  set(name, value) {
    const bounds = { size: [1, 400], tolerance: [0, 255], threshold: [1, 255] }[name];
    this[name] = Math.round(Math.min(bounds[1], Math.max(bounds[0], value)));
    this.#preview();
    this.hooks.onState(this);
  }

  setLabel(label) {
    const chosen = this.classes[label - 1];
    if (!chosen) return;
    if (chosen.retired) {
      this.hooks.onMessage("review.class_retired", { name: chosen.name });
      return;
    }
    this.label = label;
    this.#preview();
    this.hooks.onState(this);
  }

  toggleHidden() {
    this.view.hidden = !this.view.hidden;
    this.view.invalidate();
    this.hooks.onState(this);
  }

  undo() {
    if (!this.readOnly) this.#after(this.history?.undo());
  }

  redo() {
    if (!this.readOnly) this.#after(this.history?.redo());
  }

  /** Back to nothing drawn, as one step that can be undone. */
  clear() {
    this.#step(() => {
      this.history.before(rect(0, 0, this.labels.width, this.labels.height));
      this.labels.data.fill(0);
      const all = rect(0, 0, this.labels.width, this.labels.height);
      this.labels.refresh(all);
      return all;
    });
  }

  /** All of the heat map above the threshold becomes the class. */
  takeHeat() {
    if (!this.heat || this.readOnly) return;
    const found = this.heat.above(this.threshold, this.labels.width, this.labels.height);
    this.#step(() => this.paint.spans(found, this.label));
  }

  /** True if the key was the editor's. */
  key(event) {
    if (!this.labels) return false;
    const key = event.key.toLowerCase();
    if (event.type === "keyup") {
      if (key === " ") this.spaceDown = false;
      return key === " ";
    }
    if (event.ctrlKey || event.metaKey) {
      if (key === "z" && !event.shiftKey) this.undo();
      else if (key === "y" || (key === "z" && event.shiftKey)) this.redo();
      else return false;
      return true;
    }
    if (event.altKey) return false;
    if (key === " ") this.spaceDown = true;
    else if (KEYS[key]) this.setTool(KEYS[key]);
    else if (key === "h") this.toggleHidden();
    else if (key === "t" && this.tool === "heat") this.takeHeat();
    else if (key === "enter" && this.tool === "scissors" && this.line) this.#closeScissors();
    else if (key === "escape" && this.line) this.#drop();
    else if (key === "+" || key === "=") this.zoomBy(1.4);
    else if (key === "-") this.zoomBy(1 / 1.4);
    else if (key === "0") this.view.fit();
    else if (key === "[" || key === "]") this.#nudge(key === "]" ? 1 : -1);
    else if (/^[1-9]$/.test(key)) this.setLabel(Number(key));
    else return false;
    this.hooks.onState(this);
    return true;
  }

  zoomBy(factor) {
    const box = this.host.getBoundingClientRect();
    this.view.zoom(factor, box.width / 2, box.height / 2);
    this.hooks.onState(this);
  }

  zoomNative() {
    this.zoomBy(1 / this.view.scale);
  }

  #nudge(sign) {
    if (this.tool === "heat") this.set("threshold", this.threshold + 4 * sign);
    else if (this.tool === "wand") this.set("tolerance", this.tolerance + 2 * sign);
    else this.set("size", this.size + sign * Math.max(1, Math.round(this.size / 6)));
  }

  #preview() {
    const on = this.tool === "heat" && this.heat;
    this.view.heat = on ? { map: this.heat, threshold: this.threshold, label: this.label } : null;
    if (this.labels) this.view.invalidate(rect(0, 0, this.labels.width, this.labels.height));
  }

  #step(act) {
    if (this.readOnly) return;
    this.history.begin();
    const changed = act();
    if (this.history.commit()) this.#after(changed);
  }

  #after(changed) {
    if (!changed) return;
    this.view.invalidate(changed);
    this.hooks.onChange(this);
    this.hooks.onState(this);
  }

  #at(event) {
    const box = this.host.getBoundingClientRect();
    return this.view.toPicture(event.clientX - box.left, event.clientY - box.top);
  }

  #down(event) {
    if (!this.labels) return;
    this.host.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.pointers.size === 2) return this.#startPinch();
    const point = this.#at(event);
    this.erasing = event.button === 2 || event.button === 5 || this.tool === "erase";
    if (event.button === 1 || this.spaceDown || this.tool === "pan") this.action = "pan";
    else if (this.readOnly) this.action = "pan";
    else if (this.tool === "brush" || this.tool === "erase" || event.button === 2) {
      this.action = "stroke";
      this.history.begin();
      this.last = point;
      this.#stroke(point);
    } else if (this.tool === "lasso") {
      this.action = "lasso";
      this.line = [point];
    } else if (this.tool === "refine") {
      this.action = "box";
      this.line = [point, point];
    } else if (this.tool === "scissors") this.#anchor(point);
    else this.#tap(point);
  }

  #move(event) {
    if (!this.labels) return;
    const held = this.pointers.get(event.pointerId);
    const point = this.#at(event);
    this.#hover(point);
    if (!held) return;
    if (this.pointers.size === 2) {
      Object.assign(held, { x: event.clientX, y: event.clientY });
      return this.#pinch();
    }
    if (this.action === "pan") this.view.pan(event.clientX - held.x, event.clientY - held.y);
    Object.assign(held, { x: event.clientX, y: event.clientY });
    const points = (event.getCoalescedEvents?.() ?? []).map((e) => this.#at(e));
    for (const p of points.length ? points : [point]) {
      if (this.action === "stroke") this.#stroke(p);
      else if (this.action === "lasso") this.line.push(p);
    }
    if (this.action === "box") this.line[1] = point;
  }

  #up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    const action = this.action;
    this.action = this.pinching = null;
    if (action === "stroke" && this.history.commit()) this.#after(this.history.past.at(-1).rect);
    if (action === "lasso") {
      const line = this.line;
      this.line = null;
      this.#step(() => this.paint.polygon(line, this.label));
    }
    if (action === "box") this.#refine();
    if (action === "pan") this.hooks.onState(this);
    this.view.invalidate(null);
  }

  #wheel(event) {
    event.preventDefault();
    if (!this.labels) return;
    if (event.shiftKey) return this.#nudge(event.deltaY < 0 ? 1 : -1);
    const box = this.host.getBoundingClientRect();
    this.view.zoom(Math.exp(-event.deltaY / (event.deltaMode ? 12 : 480)), event.clientX - box.left, event.clientY - box.top);
    this.hooks.onState(this);
  }

  #startPinch() {
    if (this.action === "stroke" && this.history.commit()) this.view.invalidate(this.history.undo());
    this.line = null;
    this.action = "pinch";
    this.pinching = this.#fingers();
  }

  #fingers() {
    const [a, b] = [...this.pointers.values()];
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, span: Math.max(10, Math.hypot(a.x - b.x, a.y - b.y)) };
  }

  #pinch() {
    if (!this.pinching) return;
    const now = this.#fingers(), box = this.host.getBoundingClientRect();
    this.view.pan(now.x - this.pinching.x, now.y - this.pinching.y);
    this.view.zoom(now.span / this.pinching.span, now.x - box.left, now.y - box.top);
    this.pinching = now;
  }

  #stroke([x, y]) {
    this.view.invalidate(this.paint.stroke(this.last[0], this.last[1], x, y, this.size, this.erasing ? 0 : this.label));
    this.last = [x, y];
  }

  #tap([x, y]) {
    const { width, height, data } = this.labels;
    const most = width * height * MOST_FILL;
    let found;
    if (this.tool === "fill") {
      const from = data[Math.floor(y) * width + Math.floor(x)];
      found = flood(width, height, x, y, (i) => data[i] === from, most);
    } else if (this.tool === "wand") {
      const grey = (this.grey ??= greyOf(this.bitmap)), seed = grey[Math.floor(y) * width + Math.floor(x)], tolerance = this.tolerance;
      found = flood(width, height, x, y, (i) => Math.abs(grey[i] - seed) <= tolerance, most);
    } else if (this.tool === "heat" && this.heat) {
      const { heat, threshold } = this;
      found = flood(width, height, x, y, (i) => heat.at(i % width, (i / width) | 0) >= threshold, most);
    } else return;
    if (!found) this.hooks.onMessage("review.fill_open", { percent: MOST_FILL * 100 });
    else this.#step(() => this.paint.spans(found, this.label));
  }

  async #refine() {
    const [[ax, ay], [bx, by]] = this.line;
    this.line = null;
    const r = this.labels.clip(rect(Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)));
    if (!r || r.x1 - r.x0 < 6 || r.y1 - r.y0 < 6) return;
    const labels = this.labels, label = this.label;
    this.hooks.onMessage("review.refining", {});
    const found = await this.hooks.refine({ x: r.x0, y: r.y0, w: r.x1 - r.x0, h: r.y1 - r.y0, label });
    if (found && this.labels === labels) this.#step(() => this.paint.stamp(found.x, found.y, found.w, found.h, found.mask, label, true));
  }

  // Each click waits for the way to the one before, so that every piece begins where the last one ended.
  #anchor(point) {
    if (!this.line) {
      this.line = [point];
      this.anchors = Promise.resolve();
      return;
    }
    const line = this.line;
    this.anchors = this.anchors.then(async () => {
      if (this.line !== line) return;
      const path = await this.hooks.trace({ from: line.at(-1), to: point });
      if (this.line !== line) return;
      line.push(...path.slice(1));
      this.view.invalidate(null);
    });
  }

  async #closeScissors() {
    const line = this.line, label = this.label;
    if (!line) return;
    await this.anchors;
    if (this.line !== line) return;
    if (line.length < 3) return this.#drop();
    const path = await this.hooks.trace({ from: line.at(-1), to: line[0] });
    if (this.line !== line) return;
    this.line = null;
    this.#step(() => this.paint.polygon([...line, ...path.slice(1)], label));
    this.view.invalidate(null);
  }

  #drop() {
    this.line = null;
    this.view.invalidate(null);
  }

  #hover(point) {
    this.cursor = point;
    this.view.invalidate(null);
  }
}

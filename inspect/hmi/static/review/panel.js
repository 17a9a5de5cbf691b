// The tools beside the editor: what is chosen, the sliders, the classes, undo, and the three ways to end a part.
import { post } from "../core/api.js";
import { el } from "../core/dialog.js";
import { number, t } from "../core/texts.js";
import { className, moment } from "./words.js";

const TOOLS = [["brush", "B"], ["erase", "E"], ["lasso", "L"], ["fill", "F"], ["wand", "W"], ["heat", "P"], ["refine", "G"], ["scissors", "S"], ["pan", "␣"], ["hide", "H"]];
const SLIDERS = { size: ["review.slider.size", 1, 200], tolerance: ["review.slider.tolerance", 0, 128], threshold: ["review.slider.threshold", 1, 255] };
const SLIDER_OF = { brush: "size", erase: "size", wand: "tolerance", fill: "size", heat: "threshold" };

export class ToolPanel {
  /** acts: confirm, overkill, escape, tool(name), classAdded(names), version(n, null: as it is now), fail(error), may(): whether this person may save. */
  constructor(editor, acts) {
    this.editor = editor;
    this.acts = acts;
    const button = (name, key) => el("button", { type: "button", "data-tool": name, onclick: () => acts.tool(name) }, el("span", { text: `review.tool.${name}` }), el("kbd", {}, key));
    this.tools = el("div", { class: "rv-grid" }, ...TOOLS.map(([name, key]) => button(name, key)));
    this.range = el("input", { type: "range", oninput: () => editor.set(this.slider, Number(this.range.value)) });
    this.sliderName = el("span");
    this.sliderValue = el("b");
    this.take = el("button", { type: "button", class: "rv-take", onclick: () => editor.takeHeat() }, el("span", { text: "review.take_heat" }), el("kbd", {}, "T"));
    this.classes = el("div", { class: "rv-classes rv-grid" });
    const act = (name, key, run, kind = "") => el("button", { type: "button", class: kind, "data-act": name, onclick: run }, el("span", { text: `review.act.${name}` }), el("kbd", {}, key));
    this.undo = act("undo", "Ctrl Z", () => editor.undo());
    this.redo = act("redo", "Ctrl Y", () => editor.redo());
    this.history = el("select", { class: "rv-history", label: "review.history", onchange: (event) => acts.version(event.target.value ? Number(event.target.value) : null) });
    this.confirm = act("confirm", "↵", acts.confirm, "good");
    this.overkill = act("overkill", "O", acts.overkill, "warn");
    this.escape = act("escape", "X", acts.escape, "bad");
    this.node = el("aside", { class: "rv-panel" },
      this.tools,
      el("label", { class: "rv-slider" }, this.sliderName, this.sliderValue, this.range),
      this.take,
      this.classes,
      el("div", { class: "rv-grid" }, this.undo, this.redo),
      el("div", { class: "rv-spring" }),
      this.history,
      this.confirm,
      el("div", { class: "rv-grid" }, this.overkill, this.escape));
  }

  setClasses(classes) {
    this.list = classes;
    this.classes.replaceChildren(
      ...classes.map((one, i) =>
        el("button", { type: "button", "data-class": one.name, class: one.retired ? "retired" : "", title: one.retired ? t("review.class_retired", { name: one.name }) : one.name, onclick: () => this.editor.setLabel(i + 1) },
          el("i", { style: `background:${one.colour}` }), el("span", {}, className(one.name)), i < 9 ? el("kbd", {}, String(i + 1)) : null)),
      el("button", { type: "button", class: "rv-add", label: "review.class_add", onclick: () => this.#add() }, "+"),
    );
    this.update();
  }

  #add() {
    const input = el("input", { maxlength: "64", label: "review.class_add", placeholder: t("review.class_add") });
    const form = el("form", { class: "rv-add-form", onsubmit: (event) => {
      event.preventDefault();
      if (input.value.trim()) post("/api/review/classes", { name: input.value }).then((names) => this.acts.classAdded(names), this.acts.fail);
    } }, input);
    this.classes.lastChild.replaceWith(form);
    input.onblur = () => setTimeout(() => this.setClasses(this.list), 200);
    input.focus();
  }

  /** versions: a view's labels, oldest first; shown: the version that is on show, null for how it is now, drawing and all. */
  setHistory(versions, shown = null) {
    const line = (label) => `v${label.version} · ${label.by} · ${moment(label.at_utc_ns, "short")}`;
    this.history.replaceChildren(
      el("option", { value: "", text: versions.length ? "review.version_now" : "review.no_version" }),
      ...[...versions].reverse().map((label) => el("option", { value: label.version }, line(label))));
    this.history.value = shown === null ? "" : String(shown);
    this.history.disabled = versions.length === 0;
  }

  update() {
    const { editor } = this;
    for (const button of this.tools.children) {
      const name = button.dataset.tool;
      button.setAttribute("aria-pressed", String(name === "hide" ? editor.view.hidden : name === editor.tool));
    }
    this.slider = SLIDER_OF[editor.tool] ?? "size";
    const [text, low, high] = SLIDERS[this.slider];
    Object.assign(this.range, { min: low, max: high });
    this.range.value = editor[this.slider];
    this.range.setAttribute("aria-label", t(text));
    this.sliderName.textContent = t(text);
    this.sliderValue.textContent = this.slider === "size" ? `${editor.size} px` : this.slider === "threshold" ? number(editor.threshold / 255, 2) : String(editor.tolerance);
    this.take.hidden = editor.tool !== "heat";
    [...this.classes.children].forEach((button, i) => button.dataset.class && button.setAttribute("aria-pressed", String(i + 1 === editor.label)));
    this.undo.disabled = !editor.history?.past.length;
    this.redo.disabled = !editor.history?.future.length;
    for (const button of [this.confirm, this.overkill, this.escape]) button.disabled = !editor.labels || !this.acts.may();
  }
}

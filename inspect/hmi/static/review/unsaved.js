// The drawings that this person has not saved, in this browser: listed, so that none is forgotten; opened or dropped by a click.
import { el } from "../core/dialog.js";
import { dropDraft, unsavedOf } from "./drafts.js";

const SHOWN = 4;

export class Unsaved {
  /** by: whose; open(drawing) when one is chosen; fail(error). */
  constructor(by, open, fail) {
    this.by = by;
    this.open = open;
    this.fail = fail;
    this.node = el("div", { class: "rv-unsaved", hidden: true });
  }

  /** Look again. The part that is open now (key and camera) needs no reminder. */
  async show(now = null) {
    const all = await unsavedOf(this.by).catch(() => []); // that nothing can be kept is said where it is tried
    const found = all.filter((one) => one.key !== now?.key || one.camera !== now?.camera);
    this.node.hidden = found.length === 0;
    this.node.replaceChildren(
      el("span", { text: "review.unsaved", values: { n: found.length } }),
      ...found.slice(0, SHOWN).map((one) => el("span", { class: "rv-unsaved-one", "data-key": one.key },
        el("button", { type: "button", title: new Date(one.at).toLocaleString(), onclick: () => this.open(one) }, one.name || one.key),
        el("button", { type: "button", label: "review.unsaved_drop", onclick: () => dropDraft(this.by, one.key, one.camera).then(() => this.show(now), this.fail) }, "×"))));
  }
}

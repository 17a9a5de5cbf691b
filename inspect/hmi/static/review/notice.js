// A line over the picture that stays until it is answered or no longer true. Its words follow the language.
import { el } from "../core/dialog.js";

export class Notice {
  /** fail(error): told when what a button starts goes wrong. */
  constructor(fail) {
    this.fail = fail;
    this.node = el("div", { class: "rv-notice", role: "status", hidden: true });
  }

  /** buttons: [text key, what it does]; the notice is gone before it is done. */
  say(key, values, ...buttons) {
    this.node.replaceChildren(el("span", { text: key, values }), ...buttons.map(([text, run]) => el("button", { type: "button", text, onclick: () => {
      this.hide();
      Promise.resolve(run()).catch(this.fail);
    } })));
    this.node.dataset.notice = key;
    this.node.hidden = false;
  }

  hide() {
    this.node.hidden = true;
    delete this.node.dataset.notice;
  }

  /** Gone, if it says this. */
  unsay(key) {
    if (this.node.dataset.notice === key) this.hide();
  }
}

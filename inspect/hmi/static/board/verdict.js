// The giant verdict: colour, sign and word. Grey, struck through and with the link's name when the news is old.
import { el, icon } from "../core/dialog.js";
import { t } from "../core/texts.js";
import { ago, shortReason } from "./words.js";

const SIGNS = { OK: "ok", NG: "ng", REVIEW: "review", NOT_INSPECTED: "none", gone: "gone", stopped: "stop", waiting: "wait" };

export class Verdict {
  constructor() {
    this.sign = el("div", { class: "lg-sign" });
    this.word = el("div", { class: "lg-word" });
    this.why = el("div", { class: "lg-why" });
    this.part = el("div", { class: "lg-part" });
    this.node = el("section", { class: "lg-verdict", role: "status", "aria-live": "assertive" }, this.sign, this.word, this.why, this.part);
    this.kind = "";
  }

  show(state) {
    const panel = state.panel();
    const { shown } = state;
    const live = !["gone", "stopped", "waiting"].includes(panel.kind);
    if (panel.kind !== this.kind) {
      this.kind = panel.kind;
      this.node.dataset.kind = panel.kind;
      this.sign.replaceChildren(icon(SIGNS[panel.kind] || "none"));
    }
    const word = panel.kind === "gone" ? t(`operator.gone.${panel.lost[0].link}`, { name: panel.lost[0].name || "" }) : t(`operator.verdict.${panel.kind}`);
    set(this.word, word);
    const longest = Math.max(...word.split(" ").map((piece) => piece.length));
    this.word.dataset.size = longest > 9 ? "xs" : longest > 7 ? "s" : longest > 3 || word.length > 4 ? "m" : "l";
    if (live) {
      set(this.why, [shown.challenge ? t("operator.verdict.challenge") : "", shortReason(shown)].filter(Boolean).join(" · "));
      const count = panel.kind === "NG" && state.ngCount > 1 ? ` · ${t("operator.verdict.count", { n: state.ngCount })}` : "";
      set(this.part, t("operator.part", { n: shown.sequence }) + count);
      this.part.classList.remove("old");
      return;
    }
    const advice = panel.kind === "gone" ? panel.lost.map((lost) => t(`operator.gone.${lost.link}.what`, { name: lost.name || "" })).slice(0, 2).join(" ") : t(`operator.verdict.${panel.kind}.what`);
    set(this.why, advice);
    const last = shown ? t("operator.verdict.last", { word: t(`operator.verdict.${shown.decision}`), n: shown.sequence, ago: ago(state.now() - state.shownAt) }) : "";
    set(this.part, last);
    this.part.classList.toggle("old", panel.kind === "gone");
  }
}

// Writing the same text again would restart screen readers and layout.
export function set(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

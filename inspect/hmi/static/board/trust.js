// The two lines nobody else shows: the time that was left to the deadline, and whether every part is accounted for.
import { el } from "../core/dialog.js";
import { has, number, t } from "../core/texts.js";
import { broken } from "./state.js";
import { set } from "./verdict.js";

const KEPT = 100;

export class Trust {
  constructor() {
    this.slack = el("b", {});
    this.least = el("span", { class: "lg-least" });
    this.bar = el("i", {});
    this.sums = el("span", { class: "lg-sums" });
    this.slackNode = el("section", { class: "lg-slack" },
      el("div", {}, el("span", { class: "lg-label", text: "operator.trust.slack" }), this.slack, el("div", { class: "lg-bar" }, this.bar)), this.least);
    this.node = el("section", { class: "lg-reconcile", role: "status" }, this.sums);
    this.recent = [];
    this.last = null;
  }

  takePart(part) {
    if (typeof part.slack_ms !== "number") return;
    this.last = part;
    this.recent.push(part.slack_ms);
    if (this.recent.length > KEPT) this.recent.shift();
  }

  show(status) {
    if (!this.last) set(this.slack, "–");
    else {
      const { slack_ms: slack, deadline_ms: deadline } = this.last;
      set(this.slack, slack < 0 ? t("operator.trust.late", { ms: number(-slack, 0) }) : t("operator.trust.of", { ms: number(slack, 0), all: number(deadline, 0) }));
      const share = Math.max(0, Math.min(1, slack / deadline));
      this.bar.style.width = `${share * 100}%`;
      this.bar.parentElement.dataset.level = share < 0.1 ? "low" : share < 0.3 ? "mid" : "good";
      set(this.least, t("operator.trust.least", { ms: number(Math.min(...this.recent), 0), n: this.recent.length }));
    }
    const counts = status?.counts;
    if (!counts) return;
    const whole = status.reconciled;
    this.node.dataset.state = whole ? "whole" : "broken";
    const sums = parts(counts, (status.cameras || []).length).map(([name, value]) => `${t(`operator.trust.${name}`)} ${value}`);
    if (whole) {
      const text = `${sums.join(" = ")} ✓ ${t("operator.trust.whole")}`;
      if (this.sums.textContent !== text) this.sums.replaceChildren(...text.split(" = ").flatMap((piece, n) => [n ? " = " : "", el("span", {}, piece)]));
      return;
    }
    const [found, values] = broken(counts, (status.cameras || []).length);
    const key = values.n === 1 && has(`${found}.one`) ? `${found}.one` : found;
    const unnamed = found === "operator.trust.broken" && status.reconcile_text;
    set(this.sums, `⚠ ${unnamed ? status.reconcile_text : t(key, { n: number(values.n || 0) })}`);
  }
}

// The four counts in words. What is missing is named, so that the equals signs are true: pictures that never came or were
// not taken, rows still to come.
function parts(counts, cameras) {
  const { triggers = 0, frames = 0, rows = 0, plc_triggered: plc = 0 } = counts;
  const each = cameras > 1 ? ` / ${cameras}` : "";
  const open = triggers - rows;
  const lost = triggers * Math.max(1, cameras) - frames;
  return [
    ["triggers", number(triggers)],
    ["frames", number(frames) + each + (lost > 0 ? ` + ${t("operator.trust.lost", { n: number(lost) })}` : "")],
    ["rows", number(rows) + (open > 0 ? ` + ${t("operator.trust.open", { n: number(open) })}` : "")],
    ["plc_triggered", number(plc) + (plc < triggers ? ` + ${t("operator.trust.open", { n: number(triggers - plc) })}` : plc > triggers ? ` − ${t("operator.trust.open", { n: number(plc - triggers) })}` : "")],
  ];
}

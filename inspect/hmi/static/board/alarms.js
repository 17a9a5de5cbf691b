// Alarms: amber with a hazard stripe, the one that waits for somebody first. A tap shows all of them.
import { el, icon, openDialog } from "../core/dialog.js";
import { clock, has, t } from "../core/texts.js";
import { set } from "./verdict.js";

const SEEN_MS = 600; // an alarm that came just now was not what the hand went for

const order = (alarm) => (alarm.acknowledged_by ? 2 : 0) + (alarm.severity === "alarm" ? 0 : 1);

// The line names an alarm by its cause and a number, "camera-top-3"; its own words are English.
function words(alarm, what) {
  const cause = String(alarm.id).replace(/-\d+$/, "");
  const [kind, ...rest] = cause.split("-");
  const key = `operator.alarm.kind.${kind}${what}`;
  return has(key) ? t(key, { name: rest.join("-") }) : "";
}

const alarmText = (alarm) => words(alarm, "") || alarm.text;
const remedyText = (alarm) => words(alarm, ".remedy") || alarm.remedy || "";

// By whom, and when.
function acknowledged(alarm) {
  const at = alarm.acknowledged_utc_ns ? ` · ${clock(new Date(alarm.acknowledged_utc_ns / 1e6))}` : "";
  return t("operator.alarm.by", { name: alarm.acknowledged_by }) + at;
}

export class Alarms {
  constructor(root, onacknowledge, onchanged) {
    this.root = root;
    this.onacknowledge = onacknowledge;
    this.onchanged = onchanged;
    this.text = el("b", {});
    this.remedy = el("span", {});
    this.more = el("span", { class: "lg-more" });
    this.who = el("span", { class: "lg-more" });
    this.button = el("button", { type: "button", class: "lg-ack", text: "operator.alarm.acknowledge", onpointerdown: () => (this.aimed = this.current?.id), onclick: () => this.tap() });
    this.aimed = "";
    this.since = 0;
    this.node = el("section", { class: "lg-alarm", role: "alert", hidden: true },
      el("div", { class: "lg-hazard" }), icon("alarm", 46),
      el("button", { type: "button", class: "lg-alarm-text", onclick: () => this.list() }, this.text, this.remedy), this.more, this.who, this.button);
    this.all = [];
    this.current = null;
  }

  // The band changes by itself: what is acknowledged is the alarm that stood under the finger as it came down.
  tap() {
    const { current, aimed } = this;
    this.aimed = "";
    if (!current) return;
    if (aimed && (aimed !== current.id || performance.now() - this.since < SEEN_MS)) this.onchanged(current);
    else this.onacknowledge(current);
  }

  show(status) {
    const before = this.current?.id;
    this.all = (status?.alarms || []).filter((alarm) => alarm.active || !alarm.acknowledged_by).sort((a, b) => order(a) - order(b));
    this.current = this.all[0] || null;
    if (this.current && this.current.id !== before) this.since = performance.now();
    this.node.hidden = !this.current;
    if (!this.current) return;
    set(this.text, alarmText(this.current));
    set(this.remedy, remedyText(this.current));
    set(this.more, this.all.length > 1 ? t("operator.alarm.more", { n: this.all.length - 1 }) : "");
    const by = this.current.acknowledged_by;
    set(this.who, by ? acknowledged(this.current) : this.current.active ? "" : t("operator.alarm.over"));
    this.button.hidden = Boolean(by);
  }

  list() {
    const rows = this.all.slice(0, 5).map((alarm) =>
      el("div", { class: "lg-alarm-row" }, el("time", {}, clock(new Date(alarm.since_utc_ns / 1e6))),
        el("div", {}, el("b", {}, alarmText(alarm)), el("small", {}, remedyText(alarm)), el("small", {}, alarmText(alarm) === alarm.text ? "" : alarm.text),
          el("small", {}, alarm.acknowledged_by ? acknowledged(alarm) : t(alarm.active ? "operator.alarm.open" : "operator.alarm.over"))),
        el("button", { type: "button", hidden: Boolean(alarm.acknowledged_by), onclick: () => {
          dialog.close();
          this.onacknowledge(alarm);
        } }, t("operator.alarm.acknowledge"))));
    const dialog = openDialog(this.root, "alarms", [
      el("div", { class: "lg-head" }, el("h2", { text: "operator.alarm.title" }), el("button", { type: "button", label: "operator.close", onclick: () => dialog.close() }, icon("close", 30))),
      el("div", { class: "lg-alarm-list" }, ...rows),
    ]);
  }
}

// Words and colours of parts: classes, causes, reasons.
import { has, number, t } from "../core/texts.js";
import { classesOf } from "./state.js";

// No red and no amber: those are NG's and the alarms'.
const COLOURS = ["#ff7fe0", "#35d0ff", "#b8f34a", "#c3a6ff", "#4df5c4", "#ffffff", "#f0e68c", "#8fb8ff"];

export const classWord = (name) => {
  const key = `operator.class.${name}`;
  return has(key) ? t(key) : name.replaceAll("_", " ");
};

export function classColour(name, classes) {
  const index = (classes || []).indexOf(name);
  return COLOURS[(index < 0 ? name.length : index) % COLOURS.length];
}

export const causeWord = (cause) => (has(`operator.cause.${cause}`) ? t(`operator.cause.${cause}`) : cause.replaceAll("_", " "));

// "Scratch + Dent", or why a part was not inspected.
export function shortReason(part) {
  if (part.decision === "OK") return "";
  if (part.decision === "NOT_INSPECTED") return causeWord(part.cause);
  return classesOf(part).slice(0, 3).map((entry) => classWord(entry.name)).join(" + ") || part.reason || "";
}

// "Scratch ×2 0.6 mm², Dent 3.7 mm²"
export function longReason(part) {
  if (part.decision === "NOT_INSPECTED") return causeWord(part.cause);
  return classesOf(part).slice(0, 3)
    .map((entry) => `${classWord(entry.name)}${entry.count > 1 ? ` ×${entry.count}` : ""}${entry.area ? ` ${number(entry.area, 1)} mm²` : ""}`)
    .join(", ");
}

export function tileReason(part) {
  if (part.decision === "NOT_INSPECTED") return t("operator.verdict.NOT_INSPECTED.short");
  const classes = classesOf(part);
  if (!classes.length) return t(`operator.verdict.${part.decision}`);
  const more = (part.regions || []).length - 1;
  return `${classWord(classes[0].name)}${more > 0 ? ` +${more}` : ""}`;
}

export const ago = (ms) => (ms < 90000 ? t("operator.ago.s", { n: Math.max(1, Math.round(ms / 1000)) }) : t("operator.ago.min", { n: Math.round(ms / 60000) }));

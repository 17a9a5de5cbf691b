// What the server says in keys, numbers and nanoseconds, in the reader's words.
import { has, t } from "../core/texts.js";

/** UTC ns → date and time in the reader's own form; style: short or medium. */
export function moment(utcNs, style = "medium") {
  const { lang } = document.documentElement;
  return new Date(Number(utcNs) / 1e6).toLocaleString(lang === "en" ? "en-GB" : lang, { dateStyle: style, timeStyle: style });
}

export const className = (name) => (has(`operator.class.${name}`) ? t(`operator.class.${name}`) : name);

/** Why a part or view was judged so; in the log's own English where it says something that no dictionary knows. */
export function reasonText({ reason, reason_words: words }) {
  if (!words?.length) return reason;
  const said = ({ key, args }) => t(key, { ...args, ...(args.name ? { name: className(args.name) } : {}) });
  return words.map(said).join(" · ");
}

const NOTES = [[/^at (?<x>\d+), (?<y>\d+) px$/, "review.note_at"], [/^imported from (?<file>.*)$/s, "review.note_import"]];

/** A label's note: what a program wrote into it in the reader's words, what a person wrote as it stands. */
export function noteText(note) {
  for (const [form, key] of NOTES) {
    const found = form.exec(note);
    if (found) return t(key, found.groups);
  }
  return note;
}

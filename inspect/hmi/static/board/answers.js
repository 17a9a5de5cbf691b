// What the line answers, in the reader's language. The line speaks English; each sentence that people hear often is a key.
import { keysOf, t } from "../core/texts.js";
import { classWord } from "./words.js";

const PREFIX = "operator.answer.line.";

function pattern(sentence) {
  const plain = sentence.replace(/[.*+?^$()|[\]\\]/g, "\\$&"); // braces stay: they are placeholders
  return new RegExp(`^${plain.replace(/\{(\w+)\}/g, "(?<$1>.+?)")}$`, "s");
}

// Undefined where the sentence is none of those.
export function inWords(answer) {
  for (const key of keysOf(PREFIX)) {
    const found = pattern(key.slice(PREFIX.length)).exec(answer);
    if (!found) continue;
    const { defect, ...values } = found.groups || {};
    return t(key, defect ? { ...values, defect: classWord(defect) } : values);
  }
  return undefined;
}

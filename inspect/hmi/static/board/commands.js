// A wish to the line: sent, then followed until the line has answered. Whoever is not signed in signs in first.
import { Refused, get, post } from "../core/api.js";
import { el } from "../core/dialog.js";
import { follow, may, session, signedIn } from "../core/session.js";
import { signIn } from "../core/signin.js";
import { currentLanguage, onLanguage, t } from "../core/texts.js";
import { inWords } from "./answers.js";

export const NEEDS = { recipe: "lead", recipe_asked: "operator", lot: "operator", stop: "", support: "", acknowledge: "operator", overkill: "operator", escape: "operator", challenge: "operator" };
const REPORTS = new Set(["overkill", "escape"]);
const POLL_MS = 250;
const KEEP_MS = { done: 6000, refused: 15000, unknown: 60000 };
const LOST_MS = 20000; // without a word from the server for so long, nobody here knows what became of a wish
const TAKEN_MS = 150000; // longer than the line takes for anything
const NOTES = 3;
const RESTARTED = "the line was restarted";

export class Commands {
  constructor(root) {
    this.root = root;
    this.node = el("div", { class: "lg-answers", role: "status", "aria-live": "polite" });
    this.notes = new Set();
    onLanguage(() => this.notes.forEach((note) => this.write(note)));
  }

  // Whether the signed-in person may; otherwise lets somebody sign in who may.
  async allowed(kind) {
    const role = NEEDS[kind];
    if (!role || may(role)) return true;
    if (signedIn()) {
      this.tell("refused", () => t(`operator.do.${kind}`), () => t("operator.error.role", { roles: t(`operator.role.${role}`) }));
      return false;
    }
    return (await signIn(this.root)) && (may(role) || this.allowed(kind));
  }

  // Send and follow. Returns {state: done|refused|unknown, answer}. Refused means that nothing was done; where the connection
  // went, that is not known, and the screen says so.
  async send(kind, args, name = kind) {
    const spoken = () => t(`operator.do.${name}`).replace(/\s*[(（].*[)）]$/, ""); // the hint to hold is for the button
    const note = this.tell("pending", spoken, () => t("operator.answer.pending"));
    try {
      const { id } = await post("/api/command", { kind, args, shown: session.name || null });
      const began = performance.now();
      let heard = began;
      for (;;) {
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
        const found = await get(`/api/command/${id}`).catch(() => null);
        const now = performance.now();
        if (!found && now - heard < LOST_MS) continue;
        if (!found || now - began > TAKEN_MS) return this.end(note, "unknown", () => t("operator.answer.unknown"));
        heard = now;
        if (found.state === "done") return this.end(note, found.ok ? "done" : "refused", () => this.words(found));
        if (found.answer === RESTARTED) return this.end(note, "unknown", () => t("operator.answer.unknown")); // it may have been taken
        if (found.state === "expired") {
          const kept = REPORTS.has(kind); // the review screen hears of these without the line
          return this.end(note, kept ? "done" : "refused", () => t(kept ? "operator.answer.kept" : "operator.answer.expired"));
        }
      }
    } catch (error) {
      const refused = error instanceof Refused;
      if (refused && error.status === 0) return this.end(note, "unknown", () => t("operator.answer.unknown"));
      if (error.status === 401 || error.status === 409) follow().catch(() => {});
      const roles = () => (error.args?.roles || []).map((role) => t(`operator.role.${role}`)).join(", ");
      return this.end(note, "refused", () => (refused ? t(error.key, { ...error.args, roles: roles() }) : String(error)));
    }
  }

  words(found) {
    const known = inWords(found.answer);
    if (known) return known;
    const plain = t(found.ok ? "operator.answer.done" : "operator.answer.refused");
    if (!found.answer) return plain;
    return currentLanguage() === "en" ? found.answer : `${plain} (${found.answer})`; // the line answers in English
  }

  // name and words are functions, so that a switch of the language reaches what stands there already.
  tell(state, name, words) {
    const note = { node: el("button", { type: "button", class: "lg-answer", "data-state": state }), name, timer: 0 };
    note.node.addEventListener("click", () => note.state !== "pending" && this.drop(note));
    const settled = () => [...this.node.children].find((child) => child.dataset.state !== "pending");
    while (this.node.children.length >= NOTES && settled()) settled().remove(); // one that waits for its answer stays
    this.notes.add(note);
    this.node.append(note.node);
    this.fillIn(note, state, words);
    return note;
  }

  fillIn(note, state, words) {
    Object.assign(note, { state, words });
    note.node.dataset.state = state;
    this.write(note);
    clearTimeout(note.timer);
    if (KEEP_MS[state]) note.timer = setTimeout(() => this.drop(note), KEEP_MS[state]);
  }

  write({ node, state, name, words }) {
    node.replaceChildren(el("b", {}, `${{ pending: "…", done: "✓", refused: "✕", unknown: "?" }[state]} ${name()}`), el("span", {}, words()));
  }

  drop(note) {
    note.node.remove();
    this.notes.delete(note);
  }

  end(note, state, words) {
    this.fillIn(note, state, words);
    return { state, answer: words() };
  }
}

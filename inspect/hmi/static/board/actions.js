// The dialogs behind the buttons: product, batch, support, challenge round, user.
import { el, hold, icon, openDialog } from "../core/dialog.js";
import { may, session, signedIn, signOut } from "../core/session.js";
import { t } from "../core/texts.js";
import { listen } from "../core/wedge.js";
import { classWord } from "./words.js";

const head = (title, close) => el("div", { class: "lg-head" }, el("h2", { text: title }), el("button", { type: "button", label: "operator.close", onclick: close }, icon("close", 30)));
const RECIPES_SHOWN = 9;

export function changeover(board) {
  let status = board.state.status || {};
  let chosen = status.recipe_asked || 0;
  let from = 0;
  const tiles = el("div", { class: "lg-tiles" });
  const confirm = hold(el("button", { type: "button", class: "act" }, el("span", { text: "operator.hold" })), async () => {
    const recipe = chosen;
    dialog.close();
    const asked = recipe === board.state.status?.recipe_asked;
    if (await board.commands.allowed(asked ? "recipe_asked" : "recipe")) board.commands.send("recipe", { id: recipe });
  });
  const show = () => {
    const all = status.recipes || [];
    confirm.disabled = !chosen;
    tiles.replaceChildren(...all.slice(from, from + RECIPES_SHOWN).map((recipe) => {
      const note = recipe.id === status.recipe?.id ? "operator.changeover.now" : recipe.id === status.recipe_asked ? "operator.changeover.asked" : "";
      return el("button", { type: "button", "aria-pressed": String(recipe.id === chosen), "aria-current": String(recipe.id === status.recipe?.id), "data-recipe": recipe.id, onclick: () => {
        chosen = recipe.id;
        show();
      } }, recipe.name, note ? el("small", { text: note }) : null);
    }));
    if (all.length > RECIPES_SHOWN) tiles.append(el("button", { type: "button", text: "operator.signin.more", onclick: () => {
      from = from + RECIPES_SHOWN >= all.length ? 0 : from + RECIPES_SHOWN;
      show();
    } }));
  };
  show();
  // The PLC, or another screen, may change the product meanwhile.
  const unwatch = board.watch(() => {
    const now = board.state.status || {};
    const moved = now.recipe?.id !== status.recipe?.id || now.recipe_asked !== status.recipe_asked;
    status = now;
    if (moved) show();
  });
  const dialog = openDialog(board.inner, "changeover", [
    head("operator.changeover.title", () => dialog.close()), tiles,
    el("div", { class: "lg-row" }, el("button", { type: "button", text: "operator.cancel", onclick: () => dialog.close() }), confirm),
  ], unwatch);
}

// The next batch's name, where no label is scanned: the date and the time.
export function suggestion(date = new Date()) {
  const two = (n) => String(n).padStart(2, "0");
  return `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}-${two(date.getHours())}${two(date.getMinutes())}`;
}

export function newBatch(board) {
  let lot = suggestion();
  let serial = "";
  let next = "lot"; // where the next scan goes: it is framed, and a tap chooses the other
  const choose = (name) => () => {
    next = name;
    show();
  };
  const lotBox = el("output", { class: "lg-code", "data-code": "lot", onclick: choose("lot") });
  const serialBox = el("output", { class: "lg-code", "data-code": "serial", onclick: choose("serial") });
  const say = el("div", { class: "lg-say", role: "status" });
  const show = (key = "") => {
    lotBox.textContent = lot;
    serialBox.textContent = serial || "–";
    for (const box of [lotBox, serialBox]) box.setAttribute("aria-current", String(box.dataset.code === next));
    if (key) say.dataset.text = key;
    else delete say.dataset.text;
    say.textContent = key && t(key);
  };
  const release = listen((code) => {
    if (next === "serial" && code === lot) return show("operator.batch.twice"); // a trigger that was pulled twice is no part
    if (next === "lot") [lot, next] = [code, "serial"];
    else serial = code;
    show();
  });
  show();
  const start = el("button", { type: "button", class: "act", text: "operator.batch.start", onclick: async () => {
    dialog.close();
    if (await board.commands.allowed("lot")) board.commands.send("lot", serial ? { lot, serial } : { lot });
  } });
  const dialog = openDialog(board.inner, "batch", [
    head("operator.batch.title", () => dialog.close()),
    el("p", { text: "operator.batch.how" }),
    el("div", { class: "lg-codes" }, el("span", { class: "lg-label", text: "operator.batch.lot" }), lotBox, el("span", { class: "lg-label", text: "operator.batch.serial" }), serialBox), say,
    el("div", { class: "lg-row" }, el("button", { type: "button", text: "operator.batch.again", onclick: () => {
      [lot, serial, next] = [suggestion(), "", "lot"];
      show();
    } }), start),
  ], release);
}

export function support(board) {
  const reasons = ["mechanical", "camera", "quality", "material", "plc", "other"];
  const dialog = openDialog(board.inner, "support", [
    head("operator.support.title", () => dialog.close()),
    el("p", { text: "operator.support.how" }),
    el("div", { class: "lg-tiles" }, ...reasons.map((reason) => el("button", { type: "button", "data-reason": reason, text: `operator.support.${reason}`, onclick: () => {
      dialog.close();
      board.commands.send("support", { text: t(`operator.support.${reason}`) });
    } }))),
  ]);
}

const stepWords = (step) => t("operator.challenge.part", { name: classWord(step.name || "") });
const STEP_STATES = { caught: "good", missed: "bad" };
const stepState = (step, n, round) => STEP_STATES[step.result] || (round.active && n === round.step ? "now" : "");

function outcome(round) {
  const missed = (round.steps || []).filter((step) => step.result === "missed");
  if (missed.length) return t("operator.challenge.missed", { parts: missed.map((step) => classWord(step.name)).join(", ") });
  if (round.result === "all caught") return t("operator.challenge.caught");
  return round.result === "aborted" ? t("operator.challenge.aborted") : round.result || t("operator.challenge.how");
}

function instruction(round) {
  const step = (round.steps || [])[round.step];
  if (!round.active || !step) return outcome(round);
  if (round.armed) return t("operator.challenge.armed");
  const again = step.result === "again" ? `${t("operator.challenge.again")} ` : "";
  return again + t("operator.challenge.present", { part: classWord(step.name) });
}

export function challenge(board) {
  const list = el("ol", { class: "lg-steps" });
  const say = el("div", { class: "lg-say lg-next" });
  const act = async (action) => {
    const { step } = shown; // the one that was read as the hand came down, not the one the round may be at by then
    const args = action === "next" ? { action, step } : { action };
    if (await board.commands.allowed("challenge")) await board.commands.send("challenge", args, `challenge_${action}`);
  };
  let shown = {};
  const start = el("button", { type: "button", class: "act", text: "operator.challenge.start", onclick: () => act("start") });
  const next = el("button", { type: "button", class: "act", text: "operator.challenge.next", onclick: () => act("next") });
  const abort = el("button", { type: "button", text: "operator.challenge.abort", onclick: () => act("abort") });
  let last = "";
  const show = () => {
    const now = board.state.status?.challenge || {};
    const picture = JSON.stringify(now) + document.documentElement.lang;
    if (picture === last) return;
    last = picture;
    shown = now;
    const steps = now.steps || [];
    start.hidden = Boolean(now.active);
    next.hidden = !now.active || Boolean(now.armed);
    abort.hidden = !now.active;
    list.replaceChildren(...steps.slice(0, 8).map((step, n) => el("li", { "data-state": stepState(step, n, now) }, stepWords(step))));
    say.textContent = instruction(now);
  };
  const unwatch = board.watch(show);
  const dialog = openDialog(board.inner, "challenge", [
    head("operator.challenge.title", () => dialog.close()), say, list, el("div", { class: "lg-row" }, abort, start, next),
  ], unwatch);
  show();
}

export function userMenu(board) {
  if (!signedIn()) return board.signIn();
  const go = (path, key) => el("button", { type: "button", text: key, onclick: () => location.assign(path) });
  const dialog = openDialog(board.inner, "user", [
    head("operator.user.title", () => dialog.close()),
    el("p", {}, `${session.name} · ${t(`operator.role.${session.role}`)}`),
    el("div", { class: "lg-tiles" },
      may("quality") ? go("/review", "operator.user.review") : null,
      may("quality") || may("maintenance") ? go("/engineer", "operator.user.engineer") : null,
      may("admin") ? go("/people", "operator.user.people") : null),
    el("div", { class: "lg-row" }, el("button", { type: "button", class: "act", text: "operator.user.sign_out", onclick: async () => {
      dialog.close();
      await signOut().catch(() => {});
    } })),
  ]);
  return undefined;
}

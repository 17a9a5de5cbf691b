// The operator board: puts the parts together and keeps them up to date.
import { get } from "../core/api.js";
import { el, hold, icon } from "../core/dialog.js";
import * as live from "../core/live.js";
import { localMs, sample } from "../core/skew.js";
import { chooseLanguage, leftMs, onSession, session, signedIn } from "../core/session.js";
import { signIn } from "../core/signin.js";
import { LANGUAGES, LANGUAGE_NAMES, clock, currentLanguage, fill, onLanguage, t } from "../core/texts.js";
import { changeover, challenge, newBatch, support, userMenu } from "./actions.js";
import { Alarms } from "./alarms.js";
import { Commands } from "./commands.js";
import { mark, slipped } from "./mark.js";
import { Numbers } from "./numbers.js";
import { Picture } from "./picture.js";
import { State } from "./state.js";
import { Strip } from "./strip.js";
import { Trust } from "./trust.js";
import { Verdict, set } from "./verdict.js";
import { longReason } from "./words.js";

const TICK_MS = 100;
const SIGN_OUT_SOON_MS = 20000;
const button = (name, symbol, action, extra = {}) => el("button", { type: "button", "data-do": name, onclick: action, ...extra }, icon(symbol, 38), el("span", { text: `operator.do.${name}` }));

export class Board {
  constructor(root) {
    this.inner = el("div", { class: "lg-in" });
    this.state = new State(undefined, localMs);
    this.watchers = new Set();
    this.view = "live"; // live, last_ng, or the key of a reject
    this.frozen = null;
    this.commands = new Commands(this.inner);
    this.verdict = new Verdict();
    this.numbers = new Numbers();
    this.trust = new Trust();
    this.alarms = new Alarms(this.inner, (alarm) => this.acknowledge(alarm), () =>
      this.commands.tell("refused", () => t("operator.do.acknowledge"), () => t("operator.alarm.changed")));
    this.strip = new Strip((part) => this.look(part));
    this.canvas = el("canvas", { class: "lg-canvas" });
    this.picture = new Picture(this.canvas, (part) => this.painted(part));
    this.build();
    root.replaceChildren(this.inner);
    onLanguage(() => this.words());
    onSession(() => {
      this.words();
      if (this.state.closed) live.reopen();
    });
    this.words();
  }

  build() {
    this.user = el("button", { type: "button", class: "lg-user", "data-do": "user", onclick: () => userMenu(this) });
    this.line = el("div", { class: "lg-line" }, el("i", {}), el("span", {}));
    this.product = el("b", {});
    this.station = el("span", {});
    this.clock = el("time", { class: "lg-clock" });
    this.language = el("button", { type: "button", "data-do": "language", label: "operator.language", onclick: () => {
      const next = LANGUAGES[(LANGUAGES.indexOf(currentLanguage()) + 1) % LANGUAGES.length];
      chooseLanguage(next).catch(() => {});
    } });
    this.liveButton = el("button", { type: "button", "data-do": "live", text: "operator.live", onclick: () => this.look(null) });
    this.ngButton = el("button", { type: "button", "data-do": "last_ng", text: "operator.last_ng", onclick: () => this.state.lastNg && this.look(this.state.lastNg, "last_ng") });
    this.marksButton = el("button", { type: "button", "data-do": "marks", text: "operator.marks", "aria-pressed": "true", onclick: () => {
      this.picture.marks = !this.picture.marks;
      this.marksButton.setAttribute("aria-pressed", String(this.picture.marks));
      this.picture.draw();
    } });
    this.cameraButton = el("button", { type: "button", class: "lg-camera", "data-do": "camera", hidden: true, onclick: () => this.nextCamera() });
    this.caption = el("div", { class: "lg-caption" });
    this.pane = el("section", { class: "lg-pane" }, this.canvas, this.cameraButton, this.caption);
    const tools = el("div", { class: "lg-tools" }, this.liveButton, this.ngButton, this.marksButton);
    this.round = button("challenge", "rabbit", () => challenge(this));
    this.recipe = button("recipe", "swap", () => changeover(this));
    this.stop = hold(button("stop", "stop", () => {}), () => this.commands.send("stop", { reason: t("operator.stop.reason") }));
    // Of the two reports the one that fits what is on show: a reject may have been good, a passed part bad.
    this.escape = button("escape", "slipped", () => slipped(this));
    this.overkill = button("overkill", "good", () => this.frozen && mark(this, "overkill", this.frozen), { hidden: true });
    this.buttons = el("nav", { class: "lg-buttons" }, this.recipe, button("lot", "batch", () => newBatch(this)), this.round, this.escape, this.overkill, button("support", "phone", () => support(this)), el("i", {}), this.stop);
    this.inner.append(
      el("header", { class: "lg-top" }, this.user, this.line, el("div", { class: "lg-product" }, this.product, this.station), this.clock, this.language),
      el("div", { class: "lg-main" }, this.verdict.node, this.pane, this.numbers.node),
      this.alarms.node, el("div", { class: "lg-trust-row" }, this.trust.slackNode, tools, this.trust.node), this.strip.node, this.commands.node, this.buttons);
  }

  async start() {
    live.on("part", (part) => this.takePart({ ...part, fresh: true }));
    live.on("status", (status) => {
      this.state.status = status;
      this.refresh();
    });
    live.on("beat", (beat) => this.state.takeBeat(beat));
    live.on("hello", () => this.snapshot().catch(() => {}));
    live.on("missed", () => this.snapshot().catch(() => {}));
    live.on("closed", () => this.close());
    addEventListener("visibilitychange", () => this.tick()); // timers sleep with a hidden tab; it wakes with what holds now
    live.start();
    await this.snapshot().catch(() => {});
    setInterval(() => this.tick(), TICK_MS);
    this.tick();
  }

  // The picture of things as the server has it; parts that came while it was on its way are put on top of it.
  async snapshot() {
    const meanwhile = (this.meanwhile = []);
    const snapshot = await get("/api/live/snapshot").catch((error) => {
      if (error.status === 401) this.close();
      throw error;
    });
    this.state.closed = false;
    sample(snapshot.server_ns);
    if (this.meanwhile !== meanwhile) return; // a newer one was asked for
    this.meanwhile = null;
    this.state.takeSnapshot(snapshot);
    for (const part of meanwhile) if (!this.state.knows(part)) this.state.takePart(part);
    if (this.state.last && !this.trust.last) this.trust.takePart(this.state.last);
    this.strip.classes = this.picture.classes = this.state.status?.classes || [];
    this.strip.show(this.state.rejects);
    if (this.view === "live" && this.state.shown) this.picture.show(this.state.shown);
    this.refresh();
  }

  // The server shows nothing to a browser elsewhere that nobody is signed in at.
  close() {
    this.state.closed = true;
    this.tick();
  }

  takePart(part) {
    this.meanwhile?.push(part);
    this.trust.takePart(part);
    const changed = this.state.takePart(part);
    if (part.decision !== "OK") this.strip.show(this.state.rejects);
    if (changed && this.view === "live") this.picture.show(this.state.shown);
    this.verdict.show(this.state);
    this.trust.show(this.state.status);
  }

  // What was painted, for the bench: the verdict's number and when its picture stood on the canvas.
  painted(part) {
    this.describe();
    this.canvas.dispatchEvent(new CustomEvent("painted", { detail: part, bubbles: true }));
  }

  look(part, view) {
    this.frozen = part;
    this.view = part ? view || part.key : "live";
    this.strip.mark(part && view !== "last_ng" ? part.key : "");
    const shown = part || this.state.shown;
    if (shown) this.picture.show({ ...shown, fresh: false });
    this.words();
  }

  nextCamera() {
    const cameras = (this.picture.part?.views || []).map((view) => view.camera);
    if (cameras.length) this.picture.camera = cameras[(cameras.indexOf(this.picture.camera || cameras[0]) + 1) % cameras.length];
    if (this.picture.part) this.picture.show({ ...this.picture.part, fresh: false });
  }

  async acknowledge(alarm) {
    if (await this.commands.allowed("acknowledge")) this.commands.send("acknowledge", { alarm: alarm.id });
  }

  signIn() {
    return signIn(this.inner);
  }

  watch(watcher) {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  tick() {
    if (this.state.settle() && this.view === "live") this.picture.show({ ...this.state.shown, fresh: this.state.shown === this.state.last });
    set(this.clock, clock(new Date()));
    const left = leftMs();
    this.user.dataset.soon = String(signedIn() && left < SIGN_OUT_SOON_MS);
    const name = signedIn() ? `${session.name} · ${left < SIGN_OUT_SOON_MS ? t("operator.user.soon", { s: Math.ceil(left / 1000) }) : t(`operator.role.${session.role}`)}` : t("operator.signin.title");
    set(this.user, name);
    this.verdict.show(this.state);
    const lost = this.state.gone();
    const stale = lost.some(({ link }) => ["server", "session", "line"].includes(link));
    this.inner.dataset.stale = String(lost.length > 0);
    this.inner.dataset.old = String(stale);
    const offline = ["server", "session"].includes(lost[0]?.link);
    for (const node of this.buttons.querySelectorAll("button")) node.disabled = offline;
    this.watchers.forEach((watcher) => watcher());
  }

  refresh() {
    const { status } = this.state;
    if (!status) return;
    this.strip.classes = this.picture.classes = status.classes || [];
    set(this.product, status.recipe?.name || "");
    set(this.station, `${status.station || ""}${status.lot?.id ? ` · ${t("operator.lot", { id: status.lot.id })}` : ""}`);
    this.line.dataset.state = status.state;
    set(this.line.lastChild, t(`operator.state.${status.state}`));
    this.numbers.show(status);
    this.trust.show(status);
    this.alarms.show(status);
    const asked = status.recipe_asked && status.recipe_asked !== status.recipe?.id;
    this.recipe.classList.toggle("act", Boolean(asked));
    set(this.recipe.lastChild, asked ? t("operator.changeover.plc", { name: (status.recipes || []).find((r) => r.id === status.recipe_asked)?.name?.split(" ")[0] || status.recipe_asked }) : t("operator.do.recipe"));
    const { active, step, steps } = status.challenge || {};
    this.round.classList.toggle("act", Boolean(active)); // a round that was begun stands there for everybody, its dialog or not
    set(this.round.lastChild, active ? t("operator.challenge.under_way", { n: step + 1, all: (steps || []).length }) : t("operator.do.challenge"));
    this.cameraButton.hidden = (status.cameras || []).length < 2;
    set(this.cameraButton, this.picture.camera || status.cameras?.[0]?.name || "");
    this.tick();
  }

  words() {
    fill(this.inner);
    set(this.language, LANGUAGE_NAMES[currentLanguage()]);
    this.liveButton.setAttribute("aria-pressed", String(this.view === "live"));
    this.ngButton.setAttribute("aria-pressed", String(this.view === "last_ng"));
    this.overkill.hidden = !this.frozen;
    this.escape.hidden = Boolean(this.frozen);
    this.strip.words();
    this.refresh();
    this.describe();
    this.picture.draw();
    this.tick();
  }

  describe() {
    const part = this.picture.part;
    const which = part && this.frozen ? "operator.caption.reject" : "operator.part";
    set(this.caption, part ? [t(which, { n: part.sequence }), longReason(part)].filter(Boolean).join(" · ") : "");
    this.caption.hidden = !part;
    this.pane.dataset.kind = part ? part.decision : "";
  }
}

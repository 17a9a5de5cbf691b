// Queue, picture, tools: a person goes through parts without taking the hands off the keys.
//
// One sheet (one view of one part) is open at a time. Whatever is asked of the server meanwhile belongs to the sheet, queue or
// part that was open when it was asked; an answer that comes after the next one was opened is thrown away. While nothing is open
// nothing can be drawn or saved.
import { get, post } from "../core/api.js";
import { el } from "../core/dialog.js";
import { may, session } from "../core/session.js";
import { clock, number, t } from "../core/texts.js";
import { DraftKeeper } from "./drafts.js";
import { MaskEditor } from "./editor.js";
import { query } from "./filters.js";
import { Labelling, reclassed, refine, traceEdge } from "./labelling.js";
import { PartList } from "./list.js";
import { Notice } from "./notice.js";
import { ToolPanel } from "./panel.js";
import { QueueHead, QUEUES } from "./queue.js";
import { Unsaved } from "./unsaved.js";
import { reasonText } from "./words.js";

const PRESENCE_MS = 4000;
const TWICE_MS = 350; // two presses of a key within this are one wish: nobody has looked at the next part yet
const WINDOW = Math.random().toString(36).slice(2);

export function reviewScreen(app, root) {
  const person = session.name;
  let work = null, sheet = null, index = -1, saving = false, pressed = -Infinity;
  let outside = null, wantedCamera = ""; // a part shown in a queue that it is not in; the view to open next
  let listing = 0, opening = 0; // each names the newest of its kind

  const head = new QueueHead({ onQueue: (name) => app.go(`/queue/${name}`), onFilter: () => loadQueue(), fail: app.fail });
  const unsaved = new Unsaved(person, (one) => !saving && loadQueue(one.key, one.camera), app.fail);
  const list = new PartList((row, at) => openPart(row, at));
  const host = el("div", { class: "rv-canvas" });
  const info = el("div", { class: "rv-info" });
  const notice = new Notice(app.fail), others = new Notice(app.fail), storage = new Notice(app.fail);
  const position = el("span", { class: "rv-position" });
  const percent = el("span", { class: "rv-percent" });
  const cameras = el("div", { class: "rv-cameras" });
  const keeper = new DraftKeeper({
    onKept: () => (storage.hide(), unsaved.show(sheet)),
    onDropped: () => unsaved.show(sheet),
    onFailed: (error) => storage.say("review.unsaved_failed", { detail: error?.name ?? String(error) }),
  });
  const editor = new MaskEditor(host, {
    onChange: () => {
      if (!sheet) return;
      if (editor.history.past.length || sheet.origin === "draft") keeper.changed(sheet, editor.labels);
      else keeper.drop(sheet); // all of it was taken back
    },
    onState: () => {
      panel.update();
      percent.textContent = `${number(editor.view.scale * 100)} %`;
    },
    onMessage: (key, values) => app.toast(key, values),
    refine: (box) => refine(sheet, box).catch((error) => (app.fail(error), null)),
    trace: (ends) => traceEdge(sheet, ends).catch(() => [ends.from, ends.to]),
  });
  const panel = new ToolPanel(editor, {
    confirm: () => save("label"),
    overkill: () => save("overkill"),
    escape: () => save("escape"),
    tool,
    version: (n) => !saving && sheet && showView(sheet.camera, n),
    classAdded: (names) => setClasses(names),
    fail: app.fail,
    may: () => may("quality") || !session.name,
  });
  host.editor = editor; // for whoever hosts the screen
  const zoom = el("div", { class: "rv-zoom" },
    el("button", { type: "button", label: "review.zoom.out", onclick: () => editor.zoomBy(1 / 1.4) }, "−"),
    el("button", { type: "button", text: "review.zoom.fit", onclick: () => (editor.view.fit(), panel.update()) }),
    el("button", { type: "button", label: "review.zoom.in", onclick: () => editor.zoomBy(1.4) }, "+"),
    el("button", { type: "button", onclick: () => editor.zoomNative() }, "1:1"),
    percent);
  const go = el("div", { class: "rv-go" },
    el("button", { type: "button", label: "review.previous", onclick: () => step(-1) }, "◀ A"), position,
    el("button", { type: "button", label: "review.next", onclick: () => step(1) }, "D ▶"));
  const notices = el("div", { class: "rv-notices" }, storage.node, notice.node, others.node);
  const stage = el("div", { class: "rv-stage" }, el("div", { class: "rv-bar" }, info, cameras, go), notices, host, zoom);
  const left = el("aside", { class: "rv-left" }, ...head.nodes, unsaved.node, list.node);
  root.append(el("div", { class: "rv-review" }, left, stage, panel.node));
  const beat = setInterval(() => here(), PRESENCE_MS);
  const hurry = () => document.visibilityState === "hidden" && keeper.flush();
  const gone = () => navigator.sendBeacon("/api/review/presence", new Blob([JSON.stringify({ key: "", window: WINDOW })], { type: "application/json" }));
  document.addEventListener("visibilitychange", hurry);
  addEventListener("pagehide", gone);

  // --- what is waiting

  /** key: the part to open, in the queue or not; the queue's first one without. camera: the view to open. */
  async function loadQueue(key = "", camera = "") {
    const mine = ++listing;
    close();
    head.count();
    try {
      const [{ ids }, wanted] = await Promise.all([get(`/api/review/queues/${head.queue}?${query()}`), key ? find(key) : null]);
      if (mine !== listing) return;
      if (key && wanted === null) app.toast("review.error.key", { part: key }, "bad");
      // A part that was asked for by name comes first where the queue or its filters leave it out.
      outside = ids.includes(wanted) ? null : wanted;
      wantedCamera = camera;
      list.set(outside === null ? ids : [outside, ...ids], head.queue);
      if (!(await list.choose(Math.max(0, list.ids.indexOf(wanted)))) && mine === listing) showEmpty("review.queue_empty");
    } catch (error) {
      if (mine === listing) failed(error, () => loadQueue(key, camera));
    }
  }

  async function find(key) {
    const rows = await get(`/api/review/find?text=${encodeURIComponent(key)}`);
    return rows.find((row) => row.key === key)?.id ?? null;
  }

  const step = (by) => !saving && list.choose(Math.min(list.ids.length - 1, Math.max(0, index + by))).catch(app.fail);

  // --- what is open

  /** Close the sheet: its drawing is kept, and nothing can be drawn or saved until the next one is open. */
  function close() {
    editor.settle();
    keeper.flush();
    sheet = null;
    editor.unload();
    delete host.dataset.loaded;
    host.classList.add("loading");
    notice.hide();
    return ++opening;
  }

  function showEmpty(key) {
    close();
    if (key === "review.queue_empty") {
      work = null;
      index = -1;
      info.replaceChildren();
      position.textContent = "0 / 0";
      panel.setHistory([]);
    }
    host.classList.remove("loading");
    host.classList.add("empty");
    host.dataset.empty = t((host.dataset.emptyText = key));
    cameras.replaceChildren();
    others.hide();
    unsaved.show();
  }

  /** Nothing could be opened: say why, and offer to try again. */
  function failed(error, again) {
    showEmpty("review.not_opened");
    const mine = opening;
    if (error.status === 401) app.signIn().then((done) => done && mine === opening && again());
    else notice.say(error.key ?? "review.error.unexpected", error.args ?? { detail: String(error) }, ["review.try_again", again]);
  }

  async function openPart(row, at) {
    const mine = close(), camera = wantedCamera;
    wantedCamera = "";
    index = at;
    position.textContent = `${at + 1} / ${list.ids.length}`;
    try {
      const found = await new Labelling(row.key, person).open();
      if (mine !== opening) return;
      work = found;
      showInfo();
      others.hide();
      here();
      history.replaceState(null, "", `#/queue/${head.queue}/${row.key}`);
      if (!work.views.length) return showEmpty("review.picture_gone");
      const view = work.views.find((one) => one.camera === camera) ?? work.views[0];
      await showView(view.camera, null, row.id === outside ? "all" : head.queue);
      prefetch(at + 1).catch(() => {});
    } catch (error) {
      if (mine === opening) failed(error, () => openPart(row, at));
    }
    return undefined;
  }

  async function prefetch(at) {
    const next = await list.row(at);
    const part = next && (await get(`/api/review/parts/${next.key}`));
    const image = part?.images.find((one) => one.deleted_utc_ns === null);
    if (image) await fetch(`/api/review/pictures/${image.sha256}.png`, { priority: "low" });
  }

  /** source: the queue that a label made on it was found in. */
  async function showView(camera, version = null, source = sheet?.source ?? head.queue) {
    const mine = close(), start = performance.now();
    let made;
    try {
      made = await work.sheet(camera, version);
    } catch (error) {
      if (mine === opening) failed(error, () => showView(camera, version, source));
      return undefined;
    }
    if (mine !== opening) return made.close();
    sheet = Object.assign(made, { source });
    host.classList.remove("empty", "loading");
    sheet.drawn = editor.load(sheet);
    editor.readOnly = sheet.hidden !== null;
    if (editor.tool === "heat") showHeat();
    panel.setClasses(sheet.classes);
    panel.setHistory(work.history(camera), version);
    cameras.replaceChildren(...(work.views.length > 1 ? work.views.map((one) => el("button", { type: "button", "aria-pressed": String(one.camera === camera), onclick: () => !saving && showView(one.camera) }, one.camera)) : []));
    showInfo();
    host.dataset.loaded = `${sheet.key}|${camera}`;
    host.dataset.origin = sheet.origin;
    host.dataset.loadMs = String(Math.round(performance.now() - start));
    sayDraft(sheet);
    unsaved.show(sheet);
    return undefined;
  }

  function sayDraft({ camera, draft, hidden, parent, version }) {
    const drop = (then) => async () => (await keeper.drop(sheet), showView(camera, then));
    if (draft) notice.say(draft.parent === parent ? "review.draft_restored" : "review.draft_older", { at: clock(new Date(draft.at)), by: work.newest(camera)?.by ?? "" }, ["review.draft_drop", drop(null)]);
    if (hidden) notice.say("review.draft_hidden", { version }, ["review.draft_back", () => showView(camera)], ["review.draft_drop", drop(version)]);
  }

  function showInfo() {
    const { part } = work;
    info.replaceChildren(
      el("b", {}, part.serial || part.key),
      el("span", { class: `rv-badge ${part.decision}`, text: `review.decision.${part.decision}` }),
      el("span", { class: "rv-reason", title: part.reason }, reasonText(part)),
      el("small", {}, sheet ? `${sheet.levels[0].width} × ${sheet.levels[0].height} px` : ""),
      el("a", { href: `#/trace/${part.key}`, text: "review.trace_this" }));
  }

  function setClasses(names) {
    work.part.review_classes = names;
    if (!sheet) return;
    sheet.classes = reclassed(sheet.classes, names);
    editor.setClasses(sheet.classes);
    panel.setClasses(sheet.classes);
  }

  async function here() {
    const key = work?.key ?? "";
    const { others: names } = await post("/api/review/presence", { key, window: WINDOW }).catch(() => ({ others: [] }));
    if (key !== (work?.key ?? "")) return;
    if (names.length) others.say("review.also_open", { names: names.join(", ") });
    else others.hide();
  }

  // --- what is said about it

  /** A key that is held down, or pressed twice, says nothing about the part that comes next. */
  function saveByKey(kind, event) {
    const twice = event.repeat || event.timeStamp - pressed < TWICE_MS;
    if (!event.repeat) pressed = event.timeStamp;
    if (!twice) save(kind);
    return true;
  }

  async function save(kind) {
    if (saving || !sheet || sheet.hidden || sheet.drawn !== editor.labels) return;
    // Signed out while drawing: the same person signs in again and goes on. Anybody else gets a screen of their own.
    if (!session.name) await app.signIn();
    if (!may("quality") || session.name !== person || !sheet) return;
    const mine = sheet, start = performance.now();
    let saved = null;
    saving = true;
    editor.settle();
    editor.readOnly = true;
    panel.confirm.classList.add("busy");
    try {
      saved = await work.save(mine, mine.drawn, { kind, source: mine.source });
      host.dataset.saveMs = String(Math.round(performance.now() - start));
      await keeper.drop(mine);
      list.mark(mine.key, saved);
      app.toast(`review.saved.${kind}`, { version: saved.version }, "good");
      head.countSoon();
    } catch (error) {
      refused(error, kind, mine).catch(app.fail);
    } finally {
      saving = false;
      editor.readOnly = false;
      panel.confirm.classList.remove("busy");
    }
    if (saved === null || mine !== sheet) return;
    if (index + 1 < list.ids.length) await step(1);
    else await showView(mine.camera);
  }

  async function refused(error, kind, { camera }) {
    const again = ["review.save_again", () => save(kind)];
    if (error.status === 401) {
      if (await app.signIn()) await save(kind);
    } else if (error.key === "review.error.conflict") {
      notice.say("review.error.conflict", error.args,
        ["review.conflict_theirs", async () => (await keeper.drop(sheet), await work.open(), showView(camera))],
        ["review.conflict_mine", async () => {
          await work.open();
          sheet.parent = work.newest(camera)?.version ?? 0;
          await save(kind);
        }]);
    } else {
      notice.say(error.key ?? "review.error.unexpected", error.args ?? { detail: String(error) }, again);
      if (error.key === "review.error.class_gone") setClasses((await get(`/api/review/parts/${work.key}`)).review_classes);
    }
  }

  // --- tools

  function tool(name) {
    if (name === "hide") return editor.toggleHidden();
    editor.setTool(name);
    if (name === "heat") showHeat();
    return undefined;
  }

  async function showHeat() {
    if (editor.heat || !sheet) return;
    const mine = sheet;
    try {
      app.toast("review.heat_loading");
      const map = await work.heat(mine);
      if (mine === sheet) editor.setHeat(map);
    } catch (error) {
      if (mine === sheet) app.fail(error);
    }
  }

  return {
    go([name, key]) {
      const wanted = QUEUES.includes(name) ? name : head.queue;
      if (key && key === work?.key && wanted === head.queue) return undefined;
      head.queue = wanted;
      return loadQueue(key);
    },
    key(event) {
      const key = event.key.toLowerCase();
      if (!event.ctrlKey && !event.metaKey && !event.altKey && event.type === "keydown") {
        if (key === "a" || key === "d") return step(key === "a" ? -1 : 1), true;
        if (key === "o") return saveByKey("overkill", event);
        if (key === "x") return saveByKey("escape", event);
        if (key === "enter" && !editor.line) return saveByKey("label", event);
        if (key === "p") return tool("heat"), true;
      }
      return editor.key(event);
    },
    language() {
      head.fill();
      if (host.dataset.emptyText) host.dataset.empty = t(host.dataset.emptyText);
      if (work) showInfo();
      list.draw();
      if (sheet) panel.setClasses(sheet.classes), panel.setHistory(work.history(sheet.camera), sheet.version);
      panel.update();
    },
    editor,
    close() {
      clearInterval(beat);
      head.close();
      document.removeEventListener("visibilitychange", hurry);
      removeEventListener("pagehide", gone);
      listing++;
      close();
      work = null;
      here();
      list.close();
      editor.close();
    },
  };
}

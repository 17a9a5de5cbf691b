// What is drawn and not saved yet, in the browser's own database: a crashed tab, browser or panel loses nothing. A drawing
// belongs to the person who made it; at a shared panel nobody is shown, or saves, another one's.
import { encodeGrey } from "./png.js";

const NAME = "linegate-review", STORE = "drawings", WITHOUT_NAME = "drafts";
const KEEP_MS = 200;

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 2);
    request.onupgradeneeded = (event) => {
      const store = request.result.createObjectStore(STORE, { keyPath: ["by", "key", "camera"] });
      if (event.oldVersion === 0) return;
      // Drawings of the first version had no person: whoever opens the part gets them.
      request.transaction.objectStore(WITHOUT_NAME).openCursor().onsuccess = ({ target: { result: cursor } }) => {
        if (!cursor) return request.result.deleteObjectStore(WITHOUT_NAME);
        const [key, camera] = cursor.key.split("|");
        store.put({ by: "", key, camera, ...cursor.value });
        return cursor.continue();
      };
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function act(mode, work) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode, { durability: "strict" });
      const request = work(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error ?? request.error);
    });
  } finally {
    database.close();
  }
}

const of = (by, key, camera) => act("readonly", (store) => store.get([by, key, camera]));

/** A person's drawing of one view: {by, key, camera, name, parent, classes, mask: Blob, at: ms}, or null. */
export const readDraft = async (by, key, camera) => (await of(by, key, camera)) ?? (await of("", key, camera)) ?? null;

/** All drawings of a person that are not saved, oldest first, without their masks. */
export async function unsavedOf(by) {
  const found = await act("readonly", (store) => store.getAll());
  return found.filter((one) => one.by === by || one.by === "").map(({ mask, ...rest }) => rest).sort((a, b) => a.at - b.at);
}

export async function dropDraft(by, key, camera) {
  for (const name of new Set([by, ""])) await act("readwrite", (store) => store.delete([name, key, camera]));
}

/** Keeps drawings a moment after each change, off the drawing's path. hooks: onKept(sheet), onDropped(sheet), onFailed(error). */
export class DraftKeeper {
  constructor(hooks) {
    this.hooks = hooks;
    this.timer = 0;
    this.waiting = null;
    this.writing = Promise.resolve();
  }

  /** labels: the mask that was changed. It is the sheet's own for good, so it may be written at any later time. */
  changed(sheet, labels) {
    if (this.waiting && this.waiting.sheet !== sheet) this.flush();
    this.waiting = { sheet, labels };
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), KEEP_MS);
  }

  /** Write what waits, now; resolves when it, and all before it, is in the database or has failed. */
  flush() {
    clearTimeout(this.timer);
    const { waiting } = this;
    this.waiting = null;
    if (waiting) this.writing = this.writing.then(() => this.#keep(waiting));
    return this.writing;
  }

  /** The sheet is saved, or its drawing is to be forgotten. */
  drop(sheet) {
    if (this.waiting?.sheet === sheet) this.waiting = null;
    this.writing = this.writing.then(() => dropDraft(sheet.by, sheet.key, sheet.camera)).then(() => this.hooks.onDropped(sheet), () => {});
    return this.writing;
  }

  async #keep({ sheet, labels }) {
    try {
      const { by, key, camera, name, parent } = sheet;
      const mask = await encodeGrey(labels.width, labels.height, labels.data);
      const classes = sheet.classes.map((one) => one.name);
      await act("readwrite", (store) => store.put({ by, key, camera, name, parent, classes, mask, at: Date.now() }));
      this.hooks.onKept(sheet);
    } catch (error) {
      this.hooks.onFailed(error);
    }
  }
}

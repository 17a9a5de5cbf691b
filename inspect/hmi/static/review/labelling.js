// One part between server, drafts and editor: read it, lay out the sheet of one view, save it as a new version.
import { Refused, get, post } from "../core/api.js";
import { readDraft } from "./drafts.js";
import { decodeGrey, encodeGrey } from "./png.js";
import { closeLevels, pyramid } from "./view.js";

const MOST_CLASSES = 254;
const COLOURS = ["#ff4f79", "#ffb000", "#33c8ff", "#8fe36b", "#c58bff", "#ff8a3d", "#37e0c4", "#f5f06a", "#ff7bd5", "#9fb4ff", "#d1a679", "#7ee0ff"];

/** Whether a version is more than what an operator reported. */
export const byQuality = (label) => label.source !== "operator";

export async function binary(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", signal: AbortSignal.timeout(60000), ...options });
  } catch {
    throw new Refused(0, "operator.error.no_server");
  }
  if (answer.ok) return answer;
  const content = await answer.json().catch(() => ({}));
  throw new Refused(answer.status, content.key || "operator.error.failed", content.args || { detail: answer.status });
}

export async function greyPng(path, options) {
  return decodeGrey(new Uint8Array(await (await binary(path, options)).arrayBuffer()));
}

/** Names → [{name, colour, retired}]: the station's classes, then those that only this label still knows. */
export function classList(current, own = []) {
  return coloured([...current, ...own.filter((name) => !current.includes(name))], current);
}

/** The same for a mask that is drawn already: its values keep their names, new classes come behind. */
export function reclassed(classes, current) {
  const names = classes.map((one) => one.name);
  return coloured([...names, ...current.filter((name) => !names.includes(name))], current);
}

const coloured = (names, current) => names.slice(0, MOST_CLASSES).map((name, i) => ({ name, colour: COLOURS[i % COLOURS.length], retired: !current.includes(name) }));

function renumber(data, from, to) {
  const table = new Uint8Array(256);
  let same = true;
  from.forEach((name, i) => {
    table[i + 1] = to.indexOf(name) + 1;
    same &&= table[i + 1] === i + 1;
  });
  if (!same) for (let i = 0; i < data.length; i++) data[i] = table[data[i]];
  return data;
}

export class Labelling {
  /** by: the person who looks, and whose drawings are brought back. */
  constructor(key, by) {
    this.key = key;
    this.by = by;
  }

  /** Read the part; `views` are those with a picture that is still there. */
  async open() {
    this.part = await get(`/api/review/parts/${this.key}`);
    this.views = this.part.images.filter((image) => image.deleted_utc_ns === null);
    return this;
  }

  history(camera) {
    return this.part.labels.filter((label) => label.camera === camera);
  }

  newest(camera) {
    return this.history(camera).at(-1) ?? null;
  }

  /** The label that counts: the newest that is more than an operator's report. */
  counting(camera) {
    return this.history(camera).filter(byQuality).at(-1) ?? null;
  }

  /**
   * All that belongs to one view, read at one time: {key, camera, by, name, image, parent, classes, levels, labels, origin:
   * draft | label | model | empty, boxes, draft, hidden}. hidden: an unsaved drawing that an older version was opened over.
   * Whoever has no use for the sheet any more calls close().
   */
  async sheet(camera, version = null) {
    const image = this.views.find((found) => found.camera === camera);
    const number = this.part.views.find((found) => found.camera === camera)?.number;
    const boxes = this.part.regions.filter((region) => region.view_number === number).map((region) => region.box_px);
    const drawn = await readDraft(this.by, this.key, camera).catch(() => null);
    const draft = version === null ? drawn : null;
    const chosen = version === null ? this.counting(camera) : this.history(camera).find((label) => label.version === version);
    const classes = classList(this.part.review_classes, (draft ?? chosen)?.classes);
    const sheet = { key: this.key, by: this.by, name: this.part.serial || this.key, camera, image, boxes, classes, draft, version, parent: this.newest(camera)?.version ?? 0, hidden: version === null ? null : drawn };
    const blob = await (await binary(`/api/review/pictures/${image.sha256}.png`)).blob();
    const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    sheet.levels = await pyramid(bitmap);
    sheet.close = () => closeLevels(sheet.levels);
    try {
      Object.assign(sheet, await this.#mask(sheet, chosen));
    } catch (error) {
      sheet.close();
      throw error;
    }
    return sheet;
  }

  async #mask({ camera, classes, draft, levels: [{ width, height }], boxes }, chosen) {
    const all = classes.map((one) => one.name);
    let found = null, origin = "empty", names = all;
    if (draft) {
      found = await decodeGrey(new Uint8Array(await draft.mask.arrayBuffer()));
      [origin, names] = ["draft", draft.classes];
    } else if (chosen?.mask_sha256) {
      found = await greyPng(`/api/review/masks/${chosen.mask_sha256}.png`);
      [origin, names] = ["label", chosen.classes];
    } else if (!chosen && boxes.length) {
      found = await greyPng(`/api/review/parts/${this.key}/suggestion/${encodeURIComponent(camera)}.png`);
      origin = "model";
    }
    if (found && (found.width !== width || found.height !== height)) throw new Refused(0, "review.error.mask_size", { size: `${found.width} × ${found.height}`, picture: `${width} × ${height}` });
    return { labels: found && renumber(found.data, names, all), origin };
  }

  /**
   * Save a sheet's mask as a new version. The mask goes first: once the server has it, nothing can lose it. Throws Refused; 409
   * with the key review.error.conflict when somebody else was faster.
   */
  async save(sheet, labels, { kind = "label", source }) {
    const { width, height } = labels;
    const drawn = await encodeGrey(width, height, kind === "overkill" ? new Uint8Array(width * height) : labels.data);
    const stored = await (await binary("/api/review/masks", { method: "POST", body: drawn })).json();
    const bad = stored.labels.length > 0;
    const last = Math.max(0, ...stored.labels, 1 + sheet.classes.findLastIndex((one) => !one.retired));
    const label = await post("/api/review/labels", {
      key: sheet.key,
      camera: sheet.camera,
      parent: sheet.parent,
      decision: kind === "escape" || bad ? "NG" : "OK",
      kind,
      mask_sha256: kind === "escape" && !bad ? null : stored.sha256,
      classes: sheet.classes.slice(0, last).map((one) => one.name),
      must_catch: kind === "escape",
      source,
    });
    this.part.labels.push(label);
    sheet.parent = label.version;
    return label;
  }

  heat({ camera }) {
    return greyPng(`/api/review/parts/${this.key}/heat/${encodeURIComponent(camera)}.png`);
  }
}

/** GrabCut in a box of the sheet's picture. */
export async function refine({ image }, { x, y, w, h }) {
  const body = JSON.stringify({ sha256: image.sha256, box: [x, y, w, h] });
  const found = await greyPng("/api/review/refine", { method: "POST", body, headers: { "Content-Type": "application/json" } });
  return { x, y, w: found.width, h: found.height, mask: found.data };
}

/** Points along the strongest edge of the sheet's picture. */
export async function traceEdge({ image }, { from, to }) {
  const { points } = await post("/api/review/trace-edge", { sha256: image.sha256, start: from, end: to });
  return points.map(([x, y]) => [x + 0.5, y + 0.5]);
}

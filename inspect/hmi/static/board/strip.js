// The last twelve rejects, newest first. Every NG gets its tile, whatever pictures are skipped.
import { el, icon } from "../core/dialog.js";
import { clock } from "../core/texts.js";
import { fetchPicture } from "./picture.js";
import { classColour, tileReason } from "./words.js";

const SIGNS = { NG: "ng", REVIEW: "review", NOT_INSPECTED: "none" };
const TILES = 12;
const TRIES = 4;
const RETRY_MS = 700;

export class Strip {
  constructor(onpick) {
    this.onpick = onpick;
    this.node = el("section", { class: "lg-strip", label: "operator.strip" });
    this.tiles = new Map(); // key -> tile
    this.classes = [];
    this.viewing = "";
    this.queue = [];
    this.loading = 0;
  }

  show(rejects) {
    const wanted = new Set(rejects.map((part) => part.key));
    for (const [key, tile] of this.tiles) {
      if (wanted.has(key)) continue;
      tile.node.remove();
      this.tiles.delete(key);
    }
    for (const part of [...rejects].reverse()) {
      if (this.tiles.has(part.key)) continue;
      const tile = this.make(part);
      this.tiles.set(part.key, tile);
      this.node.prepend(tile.node);
      this.queue.push(tile);
    }
    this.queue = this.queue.filter((tile) => this.tiles.get(tile.part.key) === tile).slice(-TILES);
    this.work();
  }

  make(part) {
    const canvas = el("canvas", { width: 176, height: 140 });
    const label = el("b", {}, tileReason(part));
    const colour = part.decision === "NG" && part.defect_class ? classColour(part.defect_class, this.classes) : "#f3f6f9";
    label.style.color = colour;
    const node = el("button", { type: "button", class: "lg-tile", "data-key": part.key, "data-kind": part.decision, onclick: () => this.onpick(part) },
      canvas, icon(SIGNS[part.decision] || "none", 24), label, el("span", {}, clock(new Date(part.utc_ns / 1e6))));
    return { node, canvas, label, part };
  }

  words() {
    for (const tile of this.tiles.values()) tile.label.textContent = tileReason(tile.part);
  }

  mark(key) {
    this.viewing = key;
    for (const [k, tile] of this.tiles) tile.node.setAttribute("aria-current", String(k === key));
  }

  // Two pictures at a time, newest first: the live picture goes before.
  async work() {
    if (this.loading >= 2 || !this.queue.length) return;
    const tile = this.queue.pop();
    this.loading += 1;
    const bitmap = await fetchPicture(tile.part, "").catch(() => null);
    this.loading -= 1;
    if (bitmap) {
      paint(tile, bitmap);
      bitmap.close();
    } else if (tile.node.isConnected && (tile.tries = (tile.tries || 0) + 1) < TRIES) {
      setTimeout(() => {
        this.queue.unshift(tile);
        this.work();
      }, RETRY_MS);
    }
    this.work();
  }
}

// The worst region's surroundings, so that the defect shows at thumb size.
function paint(tile, bitmap) {
  const { canvas, part } = tile;
  const view = part.views?.[0];
  const worst = [...(part.regions || [])].sort((a, b) => b.area_mm2 - a.area_mm2)[0];
  let [sx, sy, sw, sh] = [0, 0, bitmap.width, bitmap.height];
  const shape = canvas.width / canvas.height;
  if (worst && view) {
    const scale = bitmap.width / view.width_px;
    const [x, y, w, h] = worst.box_px.map((n) => n * scale);
    sw = Math.min(bitmap.width, Math.max(w * 2.2, h * 2.2 * shape, bitmap.width / 7));
    sh = sw / shape;
    sx = Math.min(Math.max(0, x + w / 2 - sw / 2), bitmap.width - sw);
    sy = Math.min(Math.max(0, y + h / 2 - sh / 2), Math.max(0, bitmap.height - sh));
  } else if (sw / sh > shape) {
    sx = (sw - sh * shape) / 2;
    sw = sh * shape;
  } else {
    sy = (sh - sw / shape) / 2;
    sh = sw / shape;
  }
  canvas.getContext("2d").drawImage(bitmap, sx, sy, sw, sh, 0, 0, canvas.width, canvas.height);
  canvas.dataset.drawn = "yes";
}

// The mask itself: one byte a pixel at the picture's own size (0 background, k = k-th class), and what changes it.
// Everything here is exact; what the screen shows is only a view of it (view.js).

export const TILE = 64;
const LEVELS = 5;

/** A rectangle as {x0, y0, x1, y1}, x1 and y1 outside it. */
export function rect(x0, y0, x1, y1) {
  return { x0, y0, x1, y1 };
}

export function join(a, b) {
  if (!a) return b;
  if (!b) return a;
  return rect(Math.min(a.x0, b.x0), Math.min(a.y0, b.y0), Math.max(a.x1, b.x1), Math.max(a.y1, b.y1));
}

export class Labels {
  /** data: Uint8Array of width × height, taken over, not copied. */
  constructor(width, height, data = new Uint8Array(width * height)) {
    if (data.length !== width * height) throw new RangeError(`mask has ${data.length} pixels, picture ${width * height}`);
    this.width = width;
    this.height = height;
    this.data = data;
    this.levels = [{ width, height, data }];
    // Each level keeps the highest label of 2 × 2: a hair-thin scratch stays visible when zoomed out.
    for (let k = 1; k < LEVELS; k++) {
      const w = Math.ceil(this.levels[k - 1].width / 2);
      const h = Math.ceil(this.levels[k - 1].height / 2);
      this.levels.push({ width: w, height: h, data: new Uint8Array(w * h) });
    }
    this.refresh(rect(0, 0, width, height));
  }

  clip(r) {
    const c = rect(Math.max(0, Math.floor(r.x0)), Math.max(0, Math.floor(r.y0)), Math.min(this.width, Math.ceil(r.x1)), Math.min(this.height, Math.ceil(r.y1)));
    return c.x1 > c.x0 && c.y1 > c.y0 ? c : null;
  }

  /** Bring the smaller levels up to date inside r. */
  refresh(r) {
    let { x0, y0, x1, y1 } = r;
    for (let k = 1; k < LEVELS; k++) {
      const from = this.levels[k - 1], to = this.levels[k];
      x0 >>= 1; y0 >>= 1; x1 = Math.min(to.width, (x1 + 1) >> 1); y1 = Math.min(to.height, (y1 + 1) >> 1);
      const w = from.width, source = from.data, target = to.data;
      for (let y = y0; y < y1; y++) {
        const top = 2 * y * w, below = 2 * y + 1 < from.height ? top + w : top;
        for (let x = x0, at = y * to.width + x0; x < x1; x++, at++) {
          const left = 2 * x, right = left + 1 < w ? left + 1 : left;
          const a = source[top + left], b = source[top + right], c = source[below + left], d = source[below + right];
          const m = a > b ? a : b, n = c > d ? c : d;
          target[at] = m > n ? m : n;
        }
      }
    }
  }

  /** How many pixels each label has: Uint32Array(256). */
  counts() {
    const n = new Uint32Array(256);
    const data = this.data;
    for (let i = 0; i < data.length; i++) n[data[i]]++;
    return n;
  }
}

/** Undo by tiles: a step keeps the 64 × 64 tiles it touched, as they were. Going back swaps them, so redo is free. */
export class History {
  constructor(labels, { bytes = 256 << 20 } = {}) {
    this.labels = labels;
    this.limit = bytes;
    this.past = [];
    this.future = [];
    this.held = 0;
    this.open = null;
  }

  begin() {
    this.commit();
    this.open = { tiles: new Map(), rect: null };
  }

  /** Keep what lies in r, before it is changed. */
  before(r) {
    const { width, height, data } = this.labels;
    const across = Math.ceil(width / TILE);
    const c = this.labels.clip(r);
    if (!c || !this.open) return;
    this.open.rect = join(this.open.rect, c);
    for (let ty = (c.y0 / TILE) | 0; ty <= ((c.y1 - 1) / TILE) | 0; ty++) {
      for (let tx = (c.x0 / TILE) | 0; tx <= ((c.x1 - 1) / TILE) | 0; tx++) {
        const id = ty * across + tx;
        if (this.open.tiles.has(id)) continue;
        const w = Math.min(TILE, width - tx * TILE), h = Math.min(TILE, height - ty * TILE);
        const copy = new Uint8Array(w * h);
        for (let y = 0; y < h; y++) {
          const at = (ty * TILE + y) * width + tx * TILE;
          copy.set(data.subarray(at, at + w), y * w);
        }
        this.open.tiles.set(id, copy);
      }
    }
  }

  /** End the step; true if it changed anything. */
  commit() {
    const step = this.open;
    this.open = null;
    if (!step || !step.rect || !this.#differs(step)) return false;
    this.past.push(step);
    this.future = [];
    this.held += size(step);
    while (this.held > this.limit && this.past.length > 1) this.held -= size(this.past.shift());
    return true;
  }

  undo() {
    return this.#move(this.past, this.future);
  }

  redo() {
    return this.#move(this.future, this.past);
  }

  #differs(step) {
    let changed = false;
    this.#tiles(step, (copy, at, y, w) => {
      for (let x = 0; x < w && !changed; x++) changed = this.labels.data[at + x] !== copy[y * w + x];
      return !changed;
    });
    return changed;
  }

  #move(from, to) {
    const step = from.pop();
    if (!step) return null;
    const data = this.labels.data;
    this.#tiles(step, (copy, at, y, w) => {
      for (let x = 0; x < w; x++) {
        const was = copy[y * w + x];
        copy[y * w + x] = data[at + x];
        data[at + x] = was;
      }
      return true;
    });
    to.push(step);
    this.labels.refresh(step.rect);
    return step.rect;
  }

  #tiles(step, row) {
    const { width, height } = this.labels;
    const across = Math.ceil(width / TILE);
    for (const [id, copy] of step.tiles) {
      const x = (id % across) * TILE, y0 = Math.floor(id / across) * TILE;
      const w = Math.min(TILE, width - x), h = Math.min(TILE, height - y0);
      for (let y = 0; y < h; y++) if (!row(copy, (y0 + y) * width + x, y, w)) return;
    }
  }
}

function size(step) {
  let n = 0;
  for (const tile of step.tiles.values()) n += tile.length;
  return n;
}

// What a tool does to the mask. Each takes a Paint (labels + history), changes pixels and returns the rectangle changed.
import { join, rect } from "./labels.js";

export class Paint {
  constructor(labels, history) {
    this.labels = labels;
    this.history = history;
  }

  #done(r) {
    const c = r && this.labels.clip(r);
    if (c) this.labels.refresh(c);
    return c;
  }

  /** A round stroke of diameter px from (x0, y0) to (x1, y1), in picture pixels; 1 px paints single pixels. */
  stroke(x0, y0, x1, y1, diameter, value) {
    const radius = diameter / 2;
    const r = this.labels.clip(rect(Math.min(x0, x1) - radius - 1, Math.min(y0, y1) - radius - 1, Math.max(x0, x1) + radius + 2, Math.max(y0, y1) + radius + 2));
    if (!r) return null;
    this.history.before(r);
    const { width, data } = this.labels;
    if (diameter <= 1.5) {
      const steps = Math.max(1, Math.ceil(Math.max(Math.abs(x1 - x0), Math.abs(y1 - y0))));
      for (let i = 0; i <= steps; i++) {
        const x = Math.floor(x0 + ((x1 - x0) * i) / steps), y = Math.floor(y0 + ((y1 - y0) * i) / steps);
        if (x >= r.x0 && x < r.x1 && y >= r.y0 && y < r.y1) data[y * width + x] = value;
      }
      return this.#done(r);
    }
    const dx = x1 - x0, dy = y1 - y0, length2 = dx * dx + dy * dy, limit = radius * radius;
    for (let y = r.y0; y < r.y1; y++) {
      const py = y + 0.5 - y0;
      for (let x = r.x0, at = y * width + r.x0; x < r.x1; x++, at++) {
        const px = x + 0.5 - x0;
        const t = length2 ? Math.min(1, Math.max(0, (px * dx + py * dy) / length2)) : 0;
        const ex = px - t * dx, ey = py - t * dy;
        if (ex * ex + ey * ey <= limit) data[at] = value;
      }
    }
    return this.#done(r);
  }

  /** The inside of a closed line of [x, y] (even-odd), pixel centres counted. */
  polygon(points, value) {
    if (points.length < 3) return null;
    const xs = points.map((p) => p[0]), ys = points.map((p) => p[1]);
    const r = this.labels.clip(rect(Math.min(...xs), Math.min(...ys), Math.max(...xs) + 1, Math.max(...ys) + 1));
    if (!r) return null;
    this.history.before(r);
    const { width, data } = this.labels;
    for (let y = r.y0; y < r.y1; y++) {
      const line = y + 0.5, cuts = [];
      for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
        const [ax, ay] = points[j], [bx, by] = points[i];
        if (ay <= line !== by <= line) cuts.push(ax + ((line - ay) / (by - ay)) * (bx - ax));
      }
      cuts.sort((a, b) => a - b);
      for (let k = 0; k + 1 < cuts.length; k += 2) {
        const from = Math.max(r.x0, Math.ceil(cuts[k] - 0.5)), to = Math.min(r.x1, Math.ceil(cuts[k + 1] - 0.5));
        if (to > from) data.fill(value, y * width + from, y * width + to);
      }
    }
    return this.#done(r);
  }

  /** Write value where take(index) holds, over the spans that a flood found. */
  spans(found, value) {
    if (!found || !found.rect) return null;
    this.history.before(found.rect);
    const { width, data } = this.labels;
    for (let i = 0; i < found.list.length; i += 3) {
      const at = found.list[i] * width;
      data.fill(value, at + found.list[i + 1], at + found.list[i + 2]);
    }
    return this.#done(found.rect);
  }

  /** A cut-out mask (1 = take) of w × h at (x, y): inside it value is set, and with clear, value elsewhere there removed. */
  stamp(x, y, w, h, mask, value, clear) {
    const r = this.labels.clip(rect(x, y, x + w, y + h));
    if (!r) return null;
    this.history.before(r);
    const { width, data } = this.labels;
    for (let py = r.y0; py < r.y1; py++) {
      for (let px = r.x0; px < r.x1; px++) {
        const at = py * width + px;
        if (mask[(py - y) * w + (px - x)]) data[at] = value;
        else if (clear && data[at] === value) data[at] = 0;
      }
    }
    return this.#done(r);
  }

  /** Everything of one label becomes another; returns the rectangle changed. */
  replace(from, to) {
    const { width, height, data } = this.labels;
    let r = null;
    for (let y = 0; y < height; y++) {
      const row = data.subarray(y * width, (y + 1) * width);
      const first = row.indexOf(from);
      if (first >= 0) r = join(r, rect(first, y, row.lastIndexOf(from) + 1, y + 1));
    }
    if (!r) return null;
    this.history.before(r);
    for (let y = r.y0; y < r.y1; y++) {
      for (let x = r.x0, at = y * width + r.x0; x < r.x1; x++, at++) if (data[at] === from) data[at] = to;
    }
    return this.#done(r);
  }
}

/**
 * Scan-line flood over a picture-sized grid. same(index) says whether a pixel belongs. Returns {list: [y, x0, x1, …], rect,
 * area}, or null once it grows beyond `most` pixels.
 */
export function flood(width, height, x, y, same, most) {
  x = Math.floor(x); y = Math.floor(y);
  if (x < 0 || y < 0 || x >= width || y >= height || !same(y * width + x)) return { list: [], rect: null, area: 0 };
  const seen = new Uint8Array(width * height);
  const stack = [x, y], list = [];
  let found = null, area = 0;
  while (stack.length) {
    const sy = stack.pop(), sx = stack.pop();
    const row = sy * width;
    if (seen[row + sx]) continue;
    let a = sx, b = sx + 1;
    while (a > 0 && !seen[row + a - 1] && same(row + a - 1)) a--;
    while (b < width && !seen[row + b] && same(row + b)) b++;
    seen.fill(1, row + a, row + b);
    list.push(sy, a, b);
    found = join(found, rect(a, sy, b, sy + 1));
    area += b - a;
    if (area > most) return null;
    for (const ny of [sy - 1, sy + 1]) {
      if (ny < 0 || ny >= height) continue;
      const other = ny * width;
      let inside = false;
      for (let px = a; px < b; px++) {
        const fits = !seen[other + px] && same(other + px);
        if (fits && !inside) stack.push(px, ny);
        inside = fits;
      }
    }
  }
  return { list, rect: found, area };
}

/** A picture as grey bytes, for the wand; read in strips, so that no 48 MB copy is made at 12 MP. */
export function greyOf(bitmap) {
  const { width, height } = bitmap, strip = 256;
  const grey = new Uint8Array(width * height);
  const context = new OffscreenCanvas(width, strip).getContext("2d", { willReadFrequently: true });
  for (let y = 0; y < height; y += strip) {
    const h = Math.min(strip, height - y);
    context.drawImage(bitmap, 0, y, width, h, 0, 0, width, h);
    const pixels = context.getImageData(0, 0, width, h).data;
    for (let i = 0, at = y * width; i < width * h; i++, at++) grey[at] = (pixels[4 * i] * 77 + pixels[4 * i + 1] * 150 + pixels[4 * i + 2] * 29) >> 8;
  }
  return grey;
}

/** Samples a small heat map (Uint8Array w × h, 0..255) at picture pixels, bilinear with cell centres. */
export class Heat {
  constructor(width, height, data, pictureWidth, pictureHeight) {
    Object.assign(this, { width, height, data, scaleX: width / pictureWidth, scaleY: height / pictureHeight });
  }

  at(x, y) {
    const u = Math.min(this.width - 1, Math.max(0, (x + 0.5) * this.scaleX - 0.5));
    const v = Math.min(this.height - 1, Math.max(0, (y + 0.5) * this.scaleY - 0.5));
    const i = u | 0, j = v | 0, fu = u - i, fv = v - j;
    const right = i + 1 < this.width ? 1 : 0, down = j + 1 < this.height ? this.width : 0;
    const at = j * this.width + i, d = this.data;
    const top = d[at] + (d[at + right] - d[at]) * fu;
    const low = d[at + down] + (d[at + down + right] - d[at + down]) * fu;
    return top + (low - top) * fv;
  }

  /** Where picture columns lie in a row of the map: left and right cell and their shares; for drawing many pixels fast. */
  columns(xs) {
    const n = xs.length;
    const out = { left: new Int32Array(n), right: new Int32Array(n), near: new Float64Array(n), far: new Float64Array(n) };
    for (let i = 0; i < n; i++) {
      const u = Math.min(this.width - 1, Math.max(0, (xs[i] + 0.5) * this.scaleX - 0.5));
      out.left[i] = u | 0;
      out.right[i] = Math.min(this.width - 1, out.left[i] + 1);
      out.far[i] = u - out.left[i];
      out.near[i] = 1 - out.far[i];
    }
    return out;
  }

  /** The two map rows around picture row y, and the lower one's share. */
  rows(y) {
    const v = Math.min(this.height - 1, Math.max(0, (y + 0.5) * this.scaleY - 0.5)), j = v | 0;
    const row = (k) => this.data.subarray(k * this.width, (k + 1) * this.width);
    return [row(j), row(Math.min(this.height - 1, j + 1)), v - j];
  }

  /** All picture pixels with heat ≥ threshold as spans, in the form flood() gives. */
  above(threshold, width, height) {
    const list = [];
    let found = null, area = 0;
    const across = this.columns(Array.from({ length: width }, (_, x) => x));
    for (let y = 0; y < height; y++) {
      // A row whose heat cells are all below the threshold can't reach it: most rows end here.
      const v = Math.min(this.height - 1, Math.max(0, (y + 0.5) * this.scaleY - 0.5)) | 0;
      const cells = this.data.subarray(v * this.width, Math.min(this.height, v + 2) * this.width);
      if (!cells.some((c) => c >= threshold)) continue;
      const [top, low, down] = this.rows(y);
      let from = -1;
      for (let x = 0; x <= width; x++) {
        let hot = false;
        if (x < width) {
          const a = top[across.left[x]] * across.near[x] + top[across.right[x]] * across.far[x];
          hot = a + (low[across.left[x]] * across.near[x] + low[across.right[x]] * across.far[x] - a) * down >= threshold;
        }
        if (hot && from < 0) from = x;
        if (!hot && from >= 0) {
          list.push(y, from, x);
          found = join(found, rect(from, y, x, y + 1));
          area += x - from;
          from = -1;
        }
      }
    }
    return { list, rect: found, area };
  }
}

// The view of picture and mask: two stacked canvases of the window's size. The picture's is redrawn when the camera moves, the
// mask's only where it changed. Nothing here ever feeds back into the mask.
import { join, rect } from "./labels.js";

const SMALLEST = 0.02, LARGEST = 40, FRAMES_KEPT = 600;

/** A picture and its halves, so that a zoomed-out frame never filters twelve million pixels. Takes the bitmap over. */
export async function pyramid(bitmap) {
  const levels = [bitmap];
  try {
    for (let last = bitmap; Math.min(last.width, last.height) > 500; levels.push(last))
      last = await createImageBitmap(last, { resizeWidth: last.width >> 1, resizeHeight: last.height >> 1, resizeQuality: "medium" });
  } catch (error) {
    closeLevels(levels);
    throw error;
  }
  return levels;
}

export const closeLevels = (levels) => levels.forEach((level) => level.close());

export class View {
  constructor(host) {
    this.host = host;
    this.picture = layer(host, "lg-layer");
    this.overlay = layer(host, "lg-layer");
    this.marks = layer(host, "lg-layer");
    this.pictureContext = this.picture.getContext("2d", { alpha: false });
    this.overlayContext = this.overlay.getContext("2d", { willReadFrequently: true });
    this.marksContext = this.marks.getContext("2d");
    this.scale = 1;
    this.x = 0; // picture pixel at the window's left and top edge
    this.y = 0;
    this.levels = [];
    this.labels = null;
    this.heat = null; // {map: Heat, threshold, label} while its preview shows
    this.hidden = false;
    this.colours = new Uint32Array(256);
    this.edges = new Uint32Array(256);
    this.drawMarks = () => {};
    this.frames = []; // what the last frames took, in ms, for the bench
    this.dirty = { picture: true, overlay: null };
    this.scheduled = 0;
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(host);
    this.resize();
  }

  close() {
    this.observer.disconnect();
    cancelAnimationFrame(this.scheduled);
    closeLevels(this.levels);
    this.levels = [];
  }

  /** classes: [{colour: "#rrggbb"}, …], label k is classes[k − 1]. */
  setColours(classes) {
    classes.forEach(({ colour }, i) => {
      const n = parseInt(colour.slice(1), 16);
      const bgr = ((n & 255) << 16) | (n & 0xff00) | (n >> 16);
      this.colours[i + 1] = ((0x8c << 24) | bgr) >>> 0;
      this.edges[i + 1] = ((0xff << 24) | bgr) >>> 0;
    });
    this.invalidate();
  }

  /** levels: of pyramid(); taken over. */
  setPicture(levels) {
    closeLevels(this.levels);
    this.levels = levels;
    this.width = levels[0].width;
    this.height = levels[0].height;
    this.invalidate();
  }

  resize() {
    this.ratio = window.devicePixelRatio || 1;
    const box = this.host.getBoundingClientRect();
    const w = Math.max(1, Math.round(box.width * this.ratio)), h = Math.max(1, Math.round(box.height * this.ratio));
    if (this.picture.width === w && this.picture.height === h) return;
    for (const canvas of [this.picture, this.overlay, this.marks]) {
      canvas.width = w;
      canvas.height = h;
    }
    this.image = this.overlayContext.createImageData(w, h);
    this.pixels = new Uint32Array(this.image.data.buffer);
    if (this.fitted) this.fit();
    this.invalidate();
  }

  fit() {
    if (!this.width) return;
    const { width: w, height: h } = this.picture;
    this.scale = Math.min(w / this.width, h / this.height) * 0.97;
    this.x = this.width / 2 - w / 2 / this.scale;
    this.y = this.height / 2 - h / 2 / this.scale;
    this.fitted = true;
    this.invalidate();
  }

  /** Zoom by factor, keeping the picture under window point (px, py), in CSS pixels from the host's corner. */
  zoom(factor, px, py) {
    const scale = Math.min(LARGEST, Math.max(SMALLEST, this.scale * factor));
    const dx = px * this.ratio, dy = py * this.ratio;
    this.x += dx / this.scale - dx / scale;
    this.y += dy / this.scale - dy / scale;
    this.scale = scale;
    this.moved();
  }

  pan(dx, dy) {
    this.x -= (dx * this.ratio) / this.scale;
    this.y -= (dy * this.ratio) / this.scale;
    this.moved();
  }

  /** Bring a picture rectangle into the middle, with room around it. */
  show(r, most = 8) {
    const { width: w, height: h } = this.picture;
    this.scale = Math.min(most, w / (r.x1 - r.x0) / 3, h / (r.y1 - r.y0) / 3);
    this.x = (r.x0 + r.x1) / 2 - w / 2 / this.scale;
    this.y = (r.y0 + r.y1) / 2 - h / 2 / this.scale;
    this.moved();
  }

  moved() {
    this.fitted = false;
    const { width: w, height: h } = this.picture;
    // Some of the picture always stays in the window.
    const mx = (w / this.scale) * 0.9, my = (h / this.scale) * 0.9;
    this.x = Math.min(this.width - w / this.scale + mx, Math.max(-mx, this.x));
    this.y = Math.min(this.height - h / this.scale + my, Math.max(-my, this.y));
    this.invalidate();
  }

  /** CSS pixels from the host's corner → picture pixels. */
  toPicture(px, py) {
    return [this.x + (px * this.ratio) / this.scale, this.y + (py * this.ratio) / this.scale];
  }

  /** Picture pixels → device pixels of the canvases. */
  toWindow(x, y) {
    return [(x - this.x) * this.scale, (y - this.y) * this.scale];
  }

  /** Redraw: everything, or with r only the mask in that picture rectangle. */
  invalidate(r) {
    if (r === undefined) {
      this.dirty.picture = true;
      this.dirty.overlay = rect(0, 0, this.overlay.width, this.overlay.height);
    } else if (r) {
      const [x0, y0] = this.toWindow(r.x0, r.y0), [x1, y1] = this.toWindow(r.x1, r.y1);
      const reach = 2 + 16 * this.scale; // a smaller level's pixel covers up to 16
      this.dirty.overlay = join(this.dirty.overlay, rect(Math.floor(x0 - reach), Math.floor(y0 - reach), Math.ceil(x1 + reach), Math.ceil(y1 + reach)));
    }
    if (!this.scheduled) this.scheduled = requestAnimationFrame(() => this.frame());
  }

  frame() {
    this.scheduled = 0;
    const start = performance.now();
    if (this.dirty.picture) this.#drawPicture();
    if (this.dirty.overlay) this.#drawOverlay(this.dirty.overlay);
    this.marksContext.clearRect(0, 0, this.marks.width, this.marks.height);
    this.drawMarks(this.marksContext, this);
    this.dirty = { picture: false, overlay: null };
    this.frames.push(performance.now() - start);
    if (this.frames.length > FRAMES_KEPT) this.frames.shift();
  }

  #drawPicture() {
    const context = this.pictureContext, { width: w, height: h } = this.picture;
    context.fillStyle = "#0b0d10";
    context.fillRect(0, 0, w, h);
    if (!this.levels.length) return;
    let k = 0;
    while (k + 1 < this.levels.length && this.scale * 2 ** (k + 1) <= 1) k++;
    const level = this.levels[k], fx = level.width / this.width, fy = level.height / this.height;
    const x0 = Math.max(0, Math.floor(this.x)), y0 = Math.max(0, Math.floor(this.y));
    const x1 = Math.min(this.width, Math.ceil(this.x + w / this.scale)), y1 = Math.min(this.height, Math.ceil(this.y + h / this.scale));
    if (x1 <= x0 || y1 <= y0) return;
    context.imageSmoothingEnabled = this.scale < 2.5; // closer, pixels are shown as pixels
    const [dx, dy] = this.toWindow(x0, y0);
    context.drawImage(level, x0 * fx, y0 * fy, (x1 - x0) * fx, (y1 - y0) * fy, dx, dy, (x1 - x0) * this.scale, (y1 - y0) * this.scale);
  }

  #drawOverlay(area) {
    const { width: w, height: h } = this.overlay;
    const x0 = Math.max(0, area.x0), y0 = Math.max(0, area.y0), x1 = Math.min(w, area.x1), y1 = Math.min(h, area.y1);
    if (x1 <= x0 || y1 <= y0) return;
    const { pixels, labels } = this;
    if (!labels || this.hidden) {
      this.overlayContext.clearRect(x0, y0, x1 - x0, y1 - y0);
      return;
    }
    let k = 0;
    while (k + 1 < labels.levels.length && this.scale * 2 ** (k + 1) <= 1) k++;
    const level = labels.levels[k], data = level.data, step = 1 / 2 ** k;
    const columns = new Int32Array(x1 - x0), places = new Float64Array(x1 - x0);
    for (let x = x0; x < x1; x++) {
      const px = Math.floor(this.x + (x + 0.5) / this.scale);
      places[x - x0] = px;
      columns[x - x0] = px >= 0 && px < labels.width ? Math.min(level.width - 1, Math.floor(px * step)) : -1;
    }
    const heat = this.heat;
    const sample = (x, y) => {
      const px = Math.floor(this.x + (x + 0.5) / this.scale), py = Math.floor(this.y + (y + 0.5) / this.scale);
      if (px < 0 || py < 0 || px >= labels.width || py >= labels.height) return 0;
      return data[Math.min(level.height - 1, Math.floor(py * step)) * level.width + Math.min(level.width - 1, Math.floor(px * step))];
    };
    const across = heat && heat.map.columns(places);
    const above = Uint8Array.from(columns, (_, i) => sample(x0 + i, y0 - 1));
    for (let y = y0; y < y1; y++) {
      const py = Math.floor(this.y + (y + 0.5) / this.scale);
      const out = y * w + x0;
      if (py < 0 || py >= labels.height) {
        pixels.fill(0, out, out + x1 - x0);
        above.fill(0);
        continue;
      }
      const row = Math.min(level.height - 1, Math.floor(py * step)) * level.width;
      const [top, low, down] = heat ? heat.map.rows(py) : [];
      let left = sample(x0 - 1, y);
      for (let i = 0; i < columns.length; i++) {
        const column = columns[i];
        const label = column < 0 ? 0 : data[row + column];
        let pixel = label === left && label === above[i] ? this.colours[label] : this.edges[label || left || above[i]];
        if (heat && column >= 0 && !label) {
          const v = top[across.left[i]] * across.near[i] + top[across.right[i]] * across.far[i];
          const value = v + (low[across.left[i]] * across.near[i] + low[across.right[i]] * across.far[i] - v) * down;
          if (value >= heat.threshold) pixel = ((0x99 << 24) | (this.colours[heat.label] & 0xffffff)) >>> 0;
          else if (value > 40) pixel = ((Math.min(110, value) << 24) | 0x2a7bff) >>> 0;
        }
        pixels[out + i] = pixel;
        left = label;
        above[i] = label;
      }
    }
    this.overlayContext.putImageData(this.image, 0, 0, x0, y0, x1 - x0, y1 - y0);
  }
}

function layer(host, name) {
  const canvas = document.createElement("canvas");
  canvas.className = name;
  host.append(canvas);
  return canvas;
}

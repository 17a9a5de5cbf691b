// The part's picture on a canvas: fetched as bytes, decoded beside the page, drawn once. Newest wins: while one picture is on
// its way, only the latest wish is kept, but a wish for an NG is never replaced by one that is not.
import { classColour, classWord } from "./words.js";
import { classesOf } from "./state.js";

export async function fetchPicture(part, camera) {
  const view = part.views?.find((v) => v.camera === camera) || part.views?.[0];
  if (!view) return null;
  for (const url of pictureUrls(part, view)) {
    const answer = await fetch(url, { signal: AbortSignal.timeout(3000) }).catch(() => null);
    if (answer?.ok) return answer.blob().then((blob) => createImageBitmap(blob)).catch(() => null);
  }
  return null;
}

// The live preview's name comes round again, so an older part's picture is asked for by its key.
function pictureUrls(part, view) {
  const kept = `/api/live/recent/${encodeURIComponent(part.key)}/${encodeURIComponent(view.camera)}`;
  const stored = `/api/part/${encodeURIComponent(part.key)}/picture/${encodeURIComponent(view.camera)}`;
  return part.fresh && view.preview ? [`/api/live/preview/${encodeURIComponent(view.preview)}`, kept] : [kept, stored];
}

export class Picture {
  constructor(canvas, onpaint = () => {}) {
    this.canvas = canvas;
    this.onpaint = onpaint;
    this.part = null;
    this.bitmap = null;
    this.camera = "";
    this.marks = true;
    this.classes = [];
    this.busy = false;
    this.next = null;
    this.frame = 0;
    this.point = null;
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  show(part) {
    if (this.busy) {
      if (!(this.next?.decision === "NG" && part.decision !== "NG")) this.next = part;
      return;
    }
    this.load(part);
  }

  async load(part) {
    this.busy = true;
    const bitmap = await fetchPicture(part, this.camera);
    this.busy = false;
    const next = this.next;
    this.next = null;
    if (bitmap || !next) this.put(part, bitmap);
    if (next) this.load(next);
  }

  put(part, bitmap) {
    this.bitmap?.close();
    this.part = part;
    this.bitmap = bitmap;
    this.point = null;
    this.draw();
  }

  draw() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.frame = 0;
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const pen = canvas.getContext("2d", { alpha: false });
    pen.fillStyle = "#000";
    pen.fillRect(0, 0, width, height);
    canvas.dataset.part = this.part ? this.part.key : "";
    canvas.dataset.drawn = this.bitmap ? "yes" : "no";
    if (this.bitmap) {
      pen.drawImage(this.bitmap, ...this.place());
      if (this.marks && this.part) this.paintMarks(pen);
      if (this.point) this.paintPoint(pen);
    }
    if (this.part) this.onpaint(this.part);
  }

  // Where the picture lies on the canvas: x, y, width, height in canvas pixels.
  place() {
    const scale = Math.min(this.canvas.width / this.bitmap.width, this.canvas.height / this.bitmap.height);
    const width = this.bitmap.width * scale;
    const height = this.bitmap.height * scale;
    return [(this.canvas.width - width) / 2, (this.canvas.height - height) / 2, width, height];
  }

  get view() {
    return this.part?.views?.find((v) => v.camera === this.camera) || this.part?.views?.[0] || null;
  }

  // Camera pixels of a place on the page, or null beside the picture.
  cameraPoint(clientX, clientY) {
    if (!this.bitmap || !this.view) return null;
    const box = this.canvas.getBoundingClientRect();
    const [x, y, width, height] = this.place();
    const u = (((clientX - box.left) / box.width) * this.canvas.width - x) / width;
    const v = (((clientY - box.top) / box.height) * this.canvas.height - y) / height;
    if (u < 0 || v < 0 || u > 1 || v > 1) return null;
    return { x_px: Math.min(this.view.width_px - 1, Math.floor(u * this.view.width_px)), y_px: Math.min(this.view.height_px - 1, Math.floor(v * this.view.height_px)) };
  }

  paintMarks(pen) {
    const [x0, y0, width] = this.place();
    const scale = width / (this.view?.width_px || this.bitmap.width);
    const unit = parseFloat(getComputedStyle(this.canvas).fontSize) * (devicePixelRatio || 1);
    const taken = [];
    const regions = (this.part.regions || []).filter((region) => !region.camera || region.camera === this.view?.camera);
    const box = (region) => {
      const [x, y, w, h] = region.box_px;
      const least = unit * 0.9;
      const bw = Math.max(w * scale, least);
      const bh = Math.max(h * scale, least);
      return [x0 + (x + w / 2) * scale - bw / 2, y0 + (y + h / 2) * scale - bh / 2, bw, bh];
    };
    for (const region of regions) {
      const [x, y, w, h] = box(region);
      for (const [colour, line] of [["#000", unit * 0.3], [classColour(region.defect_class, this.classes), unit * 0.16]]) {
        pen.strokeStyle = colour;
        pen.lineWidth = line;
        pen.beginPath();
        pen.roundRect(x, y, w, h, unit * 0.35);
        pen.stroke();
      }
      taken.push([x, y, w, h]);
    }
    pen.font = `700 ${unit}px ${getComputedStyle(this.canvas).fontFamily}`;
    pen.textBaseline = "top";
    pen.lineJoin = "round";
    for (const entry of classesOf({ regions })) {
      const [x, y, w, h] = box(entry.worst);
      const text = classWord(entry.name);
      const tw = pen.measureText(text).width;
      const th = unit * 1.25;
      const spots = [[x, y - th - unit * 0.2], [x, y + h + unit * 0.2], [x + w + unit * 0.3, y], [x - tw - unit * 0.3, y], [x, y - 2 * th - unit * 0.2], [x, y + h + th + unit * 0.2]];
      const spot = spots.map(([sx, sy]) => [Math.min(Math.max(sx, 2), this.canvas.width - tw - 2), Math.min(Math.max(sy, 2), this.canvas.height - th - 2)]).find(([sx, sy]) => taken.every(([bx, by, bw, bh]) => sx + tw < bx || sx > bx + bw || sy + th < by || sy > by + bh));
      if (!spot) continue; // no room: a label on top of another says less than none
      taken.push([...spot, tw, th]);
      pen.strokeStyle = "#000";
      pen.lineWidth = unit * 0.3;
      pen.strokeText(text, ...spot);
      pen.fillStyle = classColour(entry.name, this.classes);
      pen.fillText(text, ...spot);
    }
  }

  paintPoint(pen) {
    const [x0, y0, width] = this.place();
    const scale = width / this.view.width_px;
    const x = x0 + this.point.x_px * scale;
    const y = y0 + this.point.y_px * scale;
    const r = parseFloat(getComputedStyle(this.canvas).fontSize) * (devicePixelRatio || 1) * 1.2;
    for (const [colour, line] of [["#000", r * 0.34], ["#fff", r * 0.16]]) {
      pen.strokeStyle = colour;
      pen.lineWidth = line;
      pen.beginPath();
      pen.arc(x, y, r, 0, 2 * Math.PI);
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        pen.moveTo(x + dx * r * 0.4, y + dy * r * 0.4);
        pen.lineTo(x + dx * r * 1.5, y + dy * r * 1.5);
      }
      pen.stroke();
    }
  }
}

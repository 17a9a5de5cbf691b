// What the board knows, and which link is gone. Pure: no DOM here.

export const GONE_MS = 1000; // older news than this is no news
export const IDLE_MS = 5000; // no part for so long: the verdict is history
export const HOLD_NG_MS = 1500; // an NG stays at least this long
export const RUNNING = new Set(["READY", "SINGLE_EXECUTION", "CONTINUOUS_EXECUTION"]);

export class State {
  // localMs: a moment of the server's clock (ns) on this page's (ms), null while it is not known.
  constructor(now = () => performance.now(), localMs = () => null) {
    this.now = now;
    this.localMs = localMs;
    this.closed = false; // the server shows nothing to this browser until somebody signs in
    this.status = null;
    this.beat = null;
    this.beatAt = -Infinity;
    this.last = null; // the newest part
    this.lastAt = -Infinity;
    this.shown = null; // the part the verdict panel shows
    this.shownAt = -Infinity;
    this.ngUntil = -Infinity;
    this.ngCount = 0; // NGs since the panel turned red
    this.lastNg = null;
    this.rejects = []; // newest first
    this.passed = [];
    this.seen = 0;
  }

  takeSnapshot(snapshot) {
    this.status = snapshot.status;
    this.takeBeat(snapshot);
    this.rejects = [...snapshot.rejects].reverse();
    this.passed = [...snapshot.passed].reverse();
    this.lastNg = this.rejects.find((part) => part.decision === "NG") || null;
    if (snapshot.last) {
      this.last = snapshot.last;
      if (this.now() >= this.ngUntil) this.shown = this.last;
      const ageMs = Number(BigInt(Math.round(snapshot.server_ns)) - BigInt(Math.round(snapshot.last.verdict_ns))) / 1e6;
      this.lastAt = this.now() - Math.max(0, ageMs);
      if (this.shown === this.last) this.shownAt = this.lastAt;
    }
  }

  knows(part) {
    return [this.last, ...this.rejects, ...this.passed].some((known) => known?.key === part.key);
  }

  // News is as old as the server's clock says, however it was held up on its way.
  since(serverNs) {
    return Math.min(this.now(), this.localMs(serverNs) ?? Infinity);
  }

  takeBeat(beat) {
    this.beat = beat;
    this.beatAt = this.since(beat.server_ns);
  }

  // True when the verdict panel changes with this part now (an NG holds the panel, only another NG goes before it).
  takePart(part) {
    const now = this.now();
    if (this.last?.key === part.key) return false;
    this.last = part;
    this.lastAt = this.since(part.verdict_ns);
    this.seen += 1;
    if (part.decision === "OK") this.passed = [part, ...this.passed].slice(0, 12);
    else this.rejects = [part, ...this.rejects].slice(0, 12);
    if (part.decision === "NG") {
      this.lastNg = part;
      this.ngCount = now < this.ngUntil ? this.ngCount + 1 : 1;
      this.ngUntil = now + HOLD_NG_MS;
      this.shown = part;
      this.shownAt = this.lastAt;
      return true;
    }
    return this.settle();
  }

  // After an NG's hold the newest part takes the panel.
  settle() {
    const now = this.now();
    if (now < this.ngUntil || this.shown === this.last) return false;
    this.shown = this.last;
    this.shownAt = this.lastAt;
    this.ngCount = 0;
    return true;
  }

  // The links that are gone, worst first: [{link, detail}]. Empty means: what stands here is live.
  gone() {
    const now = this.now();
    if (this.closed) return [{ link: "session", detail: "" }];
    const silent = now - this.beatAt;
    if (silent > GONE_MS) return [{ link: "server", detail: "" }];
    const lineAge = this.beat.line_age_ms === null ? Infinity : this.beat.line_age_ms + silent;
    if (lineAge > GONE_MS || !this.status) return [{ link: "line", detail: "" }, ...this.database()];
    const lost = this.database();
    for (const camera of this.status.cameras || []) if (!camera.up) lost.push({ link: "camera", detail: camera.detail, name: camera.name });
    if (this.status.plc && !this.status.plc.up) lost.push({ link: "plc", detail: this.status.plc.detail });
    return lost;
  }

  database() {
    const log = this.status?.log;
    const mine = this.beat?.links?.database;
    if (mine && !mine.ok) return [{ link: "database", detail: mine.detail }];
    return log && !log.ok ? [{ link: "database", detail: log.detail }] : [];
  }

  // gone, stopped, waiting or the verdict itself: what the panel has to say.
  panel() {
    const lost = this.gone();
    if (lost.length) return { kind: "gone", lost };
    if (!RUNNING.has(this.status.state)) return { kind: "stopped" };
    if (!this.shown || this.now() - this.lastAt > IDLE_MS) return { kind: "waiting" };
    return { kind: this.shown.decision };
  }
}

export const sequenceOf = (part) => String(part.sequence);

// The classes of a part's regions: [{name, count, area, worst}], the largest area first.
export function classesOf(part) {
  const byName = new Map();
  for (const region of part.regions || []) {
    const entry = byName.get(region.defect_class) || { name: region.defect_class, count: 0, area: 0, worst: region };
    entry.count += 1;
    entry.area += region.area_mm2 || 0;
    if ((region.area_mm2 || 0) > (entry.worst.area_mm2 || 0)) entry.worst = region;
    byName.set(region.defect_class, entry);
  }
  if (byName.size === 0 && part.defect_class) byName.set(part.defect_class, { name: part.defect_class, count: 1, area: 0, worst: null });
  return [...byName.values()].sort((a, b) => b.area - a.area);
}

// Where the sums differ, in one plain sentence: [text key, values].
export function broken(counts, cameras = 1) {
  const { triggers = 0, rows = 0, plc_triggered: plc = 0, in_transit: transit = 0 } = counts || {};
  const frames = Math.floor(((counts?.frames || 0) + (counts?.frames_lost || 0)) / Math.max(1, cameras));
  const out = (counts?.plc_passed || 0) + (counts?.plc_rejected || 0) + transit;
  if (plc > triggers) return ["operator.trust.unseen", { n: plc - triggers }];
  if (plc < triggers) return ["operator.trust.plc_behind", { n: triggers - plc }];
  if (rows > triggers) return ["operator.trust.extra_rows", { n: rows - triggers }];
  if (triggers - rows > transit) return ["operator.trust.no_row", { n: triggers - rows - transit }];
  if (frames < triggers) return ["operator.trust.no_frame", { n: triggers - frames }];
  if (frames > triggers) return ["operator.trust.extra_frames", { n: frames - triggers }];
  if (plc !== out) return ["operator.trust.gate", { n: Math.abs(plc - out) }];
  return ["operator.trust.broken", {}];
}

// The event stream itself: opens, notices silence, opens again. Runs in the shared worker, or in the page without one.
const SILENT_MS = 1000;
const REOPEN_MS = 1500;

export class Stream {
  constructor(deliver) {
    this.deliver = deliver;
    this.source = null;
    this.heard = 0;
    this.opened = 0;
    this.last = "";
    setInterval(() => this.watch(), 200);
  }

  ensure() {
    if (!this.source) this.open();
  }

  open() {
    this.close();
    this.opened = performance.now();
    this.source = new EventSource("/api/live");
    for (const kind of ["hello", "part", "status", "beat", "missed", "closed"]) {
      this.source.addEventListener(kind, (event) => {
        this.heard = performance.now();
        this.deliver({ kind, body: event.data });
        if (kind === "closed") this.close();
      });
    }
  }

  close() {
    if (this.source) this.source.close();
    this.source = null;
  }

  // A server that hangs keeps its connection open, and a killed one may leave a browser waiting: open anew.
  watch() {
    if (!this.source) return;
    const now = performance.now();
    if (now - this.heard > SILENT_MS && now - this.opened > REOPEN_MS) this.open();
  }
}

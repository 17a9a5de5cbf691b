// The page's end of the event stream. on(kind, fn) gets parsed bodies; age() says how old the last word is.
import { Stream } from "./stream.js";

const handlers = { hello: [], part: [], status: [], beat: [], missed: [], closed: [] };
let heard = -Infinity;
let port = null;

function deliver({ kind, body }) {
  heard = performance.now();
  const parsed = JSON.parse(body);
  for (const handler of handlers[kind] || []) handler(parsed, kind);
}

export function start() {
  if (port) return;
  // Back from another page: a page that was put aside has said goodbye to the stream and would hear nothing any more.
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  if (typeof SharedWorker !== "undefined") {
    const worker = new SharedWorker("/static/core/live-worker.js", { type: "module", name: "linegate-live" });
    port = worker.port;
    port.onmessage = (event) => deliver(event.data);
    port.start();
    addEventListener("pagehide", () => port.postMessage("bye"));
    return;
  }
  const stream = new Stream(deliver);
  port = { postMessage: (word) => (word === "reopen" ? stream.open() : stream.close()) };
  stream.ensure();
}

export const on = (kind, handler) => handlers[kind].push(handler);
export const ageMs = () => performance.now() - heard;
export const reopen = () => port && port.postMessage("reopen");

// One event stream for all tabs of this browser: HTTP/1.1 gives a host six connections, and each tab would hold one.
import { Stream } from "./stream.js";

const ports = new Set();
const stream = new Stream((message) => {
  for (const port of ports) port.postMessage(message);
});

self.onconnect = (event) => {
  const port = event.ports[0];
  ports.add(port);
  port.onmessage = (message) => {
    if (message.data === "bye") ports.delete(port);
    if (message.data === "reopen") stream.open();
    if (ports.size === 0) stream.close();
  };
  port.start();
  stream.ensure();
};

// The server's clock as this page sees it, so that news says how old it is: a proxy that holds the stream back, or a slow
// radio link, delivers steadily, only late, and by the time of arrival alone that would look live.
const KEPT = 12; // samples, one every few seconds: two clocks drift apart by milliseconds meanwhile

const samples = []; // this page's ms minus the server's, each too large by the answer's way, never too small

// An answer that carries the server's time of writing arrived now.
export function sample(serverNs) {
  samples.push(performance.now() - serverNs / 1e6);
  if (samples.length > KEPT) samples.shift();
}

// A moment of the server's clock on this page's; null while nothing is known.
export const localMs = (serverNs) => (samples.length && typeof serverNs === "number" ? serverNs / 1e6 + Math.min(...samples) : null);

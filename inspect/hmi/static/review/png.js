// 8-bit grey PNG, written and read here, because a canvas may change pixels (colour management, premultiplied alpha) and a
// mask may not. The zlib stream of a PNG is what CompressionStream("deflate") makes.

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

const CRC = new Uint32Array(256).map((_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

function crc(bytes) {
  let c = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) c = CRC[(c ^ bytes[i]) & 255] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

function chunk(kind, body) {
  const out = new Uint8Array(body.length + 12);
  const view = new DataView(out.buffer);
  view.setUint32(0, body.length);
  for (let i = 0; i < 4; i++) out[4 + i] = kind.charCodeAt(i);
  out.set(body, 8);
  view.setUint32(8 + body.length, crc(out.subarray(4, 8 + body.length)));
  return out;
}

async function through(stream, bytes) {
  const answer = new Response(new Blob([bytes]).stream().pipeThrough(stream));
  return new Uint8Array(await answer.arrayBuffer());
}

/** labels: Uint8Array width × height → Blob, image/png. */
export async function encodeGrey(width, height, labels) {
  const rows = new Uint8Array((width + 1) * height);
  for (let y = 0; y < height; y++) rows.set(labels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const head = new Uint8Array(13);
  const view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head.set([8, 0, 0, 0, 0], 8);
  const body = await through(new CompressionStream("deflate"), rows);
  return new Blob([new Uint8Array(SIGNATURE), chunk("IHDR", head), chunk("IDAT", body), chunk("IEND", new Uint8Array(0))], { type: "image/png" });
}

/** An 8-bit grey PNG → {width, height, data: Uint8Array}. Any other kind of PNG is an Error. */
export async function decodeGrey(bytes) {
  if (SIGNATURE.some((b, i) => bytes[i] !== b)) throw new Error("not a PNG file");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts = [];
  let width = 0, height = 0;
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const body = bytes.subarray(at + 8, at + 8 + length);
    if (view.getUint32(at + 8 + length) !== crc(bytes.subarray(at + 4, at + 8 + length))) throw new Error("PNG damaged");
    if (kind === "IHDR") {
      width = view.getUint32(at + 8);
      height = view.getUint32(at + 12);
      if (body[8] !== 8 || body[9] !== 0 || body[12] !== 0) throw new Error("not an 8-bit grey PNG");
    }
    if (kind === "IDAT") parts.push(body);
    at += 12 + length;
  }
  const rows = await through(new DecompressionStream("deflate"), new Blob(parts));
  if (rows.length !== (width + 1) * height) throw new Error("PNG incomplete");
  return { width, height, data: unfilter(width, height, rows) };
}

function unfilter(width, height, rows) {
  const data = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const filter = rows[y * (width + 1)], from = y * (width + 1) + 1, to = y * width;
    if (filter === 0) {
      data.set(rows.subarray(from, from + width), to);
      continue;
    }
    for (let x = 0; x < width; x++) {
      const left = x ? data[to + x - 1] : 0, up = y ? data[to + x - width] : 0, corner = x && y ? data[to + x - width - 1] : 0;
      let guess = 0;
      if (filter === 1) guess = left;
      else if (filter === 2) guess = up;
      else if (filter === 3) guess = (left + up) >> 1;
      else guess = paeth(left, up, corner);
      data[to + x] = rows[from + x] + guess;
    }
  }
  return data;
}

function paeth(a, b, c) {
  const p = a + b - c, pa = Math.abs(p - a), pb = Math.abs(p - b), pc = Math.abs(p - c);
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

// Requests to the screens' own server. A refusal becomes a Refused with the text key the server named.

export class Refused extends Error {
  constructor(status, key, args) {
    super(key);
    this.status = status;
    this.key = key;
    this.args = args || {};
  }
}

export async function call(method, path, body, timeoutMs = 8000) {
  const options = { method, headers: {}, signal: AbortSignal.timeout(timeoutMs), credentials: "same-origin" };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refused(0, "operator.error.no_server");
  }
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(answer.status, content.key || "operator.error.failed", content.args || { detail: answer.status });
  return content;
}

export const get = (path) => call("GET", path);
export const post = (path, body = {}) => call("POST", path, body);

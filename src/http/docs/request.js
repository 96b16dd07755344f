// A request from its form, and its answer. The functions without `fetch` are pure.

/** Returns the URL of a call. `values` are those of its parameters, by `in` and name. */
export function urlOf(path, values) {
  const filled = path.replace(/\{([^}]+)\}/g, (_, name) => encodeURIComponent(values.path?.[name] ?? ""));
  const query = Object.entries(values.query ?? {}).filter(([, value]) => value !== "");
  const text = query.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join("&");
  return text ? `${filled}?${text}` : filled;
}

/** Returns the headers of a call. */
export function headersOf(values, key, hasBody, accept) {
  const headers = Object.fromEntries(Object.entries(values.header ?? {}).filter(([, value]) => value !== ""));
  if (accept) headers.Accept = accept;
  if (key) headers["X-API-Key"] = key;
  if (hasBody) headers["Content-Type"] = "application/json";
  return headers;
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Returns the command for a shell. It has `$KEY` in place of the key, which then cannot be copied by accident. */
export function curlOf(method, url, headers, body) {
  const parts = ["curl -s"];
  if (method === "HEAD") parts.push("-I");
  else if (method !== "GET") parts.push(`-X ${method}`);
  for (const [name, value] of Object.entries(headers)) {
    parts.push(name === "X-API-Key" ? `-H "X-API-Key: $KEY"` : `-H ${quoted(`${name}: ${value}`)}`);
  }
  if (body) parts.push(`-d ${quoted(body)}`);
  return [...parts, quoted(url)].join(" ");
}

/** Returns a body with line ends, if it is JSON. */
export function readable(text, type) {
  if (!type.includes("json")) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** The longest text of a stream that is shown. The beginning of a longer one is left out. */
const STREAM_MAX = 20_000;

/** Sends a request. `show` is called with each part of a stream, and once with any other body. */
export async function send(url, options, show) {
  const start = performance.now();
  const response = await fetch(url, { ...options, credentials: "omit", cache: "no-store", redirect: "manual" });
  const took = () => Math.round(performance.now() - start);
  const type = response.headers.get("content-type") ?? "";
  const head = { status: response.status, text: response.statusText, headers: [...response.headers], took: took() };
  if (!type.includes("event-stream")) {
    const body = await response.text();
    show({ ...head, took: took(), body: readable(body, type), over: true });
    return;
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let body = "";
  show({ ...head, body, over: false });
  for (;;) {
    const { done, value } = await reader.read();
    if (value) body = (body + value).slice(-STREAM_MAX);
    show({ ...head, took: took(), body, over: done });
    if (done) return;
  }
}

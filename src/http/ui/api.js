// Calls of the API, with the key of this tab.

import { adjust } from "./clock.js";

const STORED = "sandbox-provisioner-key";
const TIMEOUT = 35_000;

let key = sessionStorage.getItem(STORED);
let onUnauthorized = () => {};

/** An answer that is not a success, or none. */
export class ApiError extends Error {
  constructor(status, message, retryAfter = null) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

export const hasKey = () => key !== null;

/** Takes a key for this tab, or forgets it. Only this tab has it, and only until it is closed. */
export function setKey(text) {
  key = text;
  if (text === null) sessionStorage.removeItem(STORED);
  else sessionStorage.setItem(STORED, text);
}

/** Calls this whenever the daemon refuses the key. */
export function whenUnauthorized(call) {
  onUnauthorized = call;
}

/** Returns the address of the daemon, without a slash at its end. */
export const origin = () => new URL(".", document.baseURI).href.replace(/\/$/, "");

/** Sends a request. Returns the response, whatever its status. */
export async function send(path, { method = "GET", headers = {}, body, signal } = {}) {
  const all = { ...headers };
  if (key !== null) all["X-API-Key"] = key;
  if (body !== undefined) all["Content-Type"] = "application/json";
  const response = await fetch(path, {
    method,
    headers: all,
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
    cache: "no-store",
    credentials: "same-origin",
    redirect: "error",
  });
  adjust(response.headers);
  return response;
}

/** Sends a request and returns the JSON of a success. Throws an `ApiError` otherwise. */
export async function call(path, options = {}) {
  const response = await attempt(path, options);
  if (!response.ok) throw await error(response);
  return await response.json();
}

/** Sends a GET and returns the text of a success. Throws an `ApiError` otherwise. */
export async function text(path) {
  const response = await attempt(path, {});
  if (!response.ok) throw await error(response);
  return await response.text();
}

/** Returns the path of a sandbox, or of a route below it. */
export const sandbox = (id, rest = "") => `api/sandboxes/${encodeURIComponent(id)}${rest}`;

async function attempt(path, options) {
  let response;
  try {
    response = await send(path, { signal: AbortSignal.timeout(TIMEOUT), ...options });
  } catch (reason) {
    const isLate = reason instanceof DOMException && reason.name === "TimeoutError";
    throw new ApiError(0, isLate ? "The daemon did not answer in time." : "The daemon does not answer.");
  }
  if (response.status === 401) onUnauthorized();
  return response;
}

/** Reads the error of a response. */
export async function error(response) {
  const body = await response.text().catch(() => "");
  const retryAfter = Number.parseInt(response.headers.get("retry-after") ?? "", 10);
  return new ApiError(response.status, describe(response.status, body), Number.isNaN(retryAfter) ? null : retryAfter);
}

/** Returns the description in the body of an error: a text, or a list of invalid fields. */
export function describe(status, body) {
  if (status === 401) return "The daemon refused the API key.";
  try {
    const { detail, hint } = JSON.parse(body);
    const said = Array.isArray(detail)
      ? detail.map(({ loc, msg }) => `${(loc ?? []).slice(1).join(".")}: ${msg}`).join("; ")
      : detail;
    if (typeof said === "string") return typeof hint === "string" ? `${said} (${hint})` : said;
  } catch {
    // A proxy may answer with a page of its own.
  }
  return `status ${status}`;
}

// The state of the connection to the daemon, and what the page says about it.
//
// A state is one of `{name: "connecting"}`, `{name: "live"}`, `{name: "retrying", why, at, isGone}`,
// `{name: "unauthorized", wasRefused}` and `{name: "paused"}`.

/** The longest pause between two attempts, in milliseconds. */
export const PAUSE_MAX = 15_000;
/** The daemon sends something every 8 s. After this silence the connection is dead. */
export const SILENCE_MAX = 20_000;

/** Returns the pause before an attempt: doubled each time, and spread so that many pages do not call at once. */
export function pause(attempt, random) {
  const base = Math.min(PAUSE_MAX, 500 * 2 ** Math.min(attempt, 10));
  return Math.round(base * (0.75 + 0.5 * random));
}

/** Returns the state after a stream was refused. `retryAfter` is the header in seconds, or null. */
export function refused({ status, detail, retryAfter, hasKey, attempt, random, now }) {
  if (status === 401) return { name: "unauthorized", wasRefused: hasKey };
  const why = status >= 500 || status === 429 ? detail : `the daemon answered ${status}: ${detail}`;
  const wait = Math.max(pause(attempt, random), (retryAfter ?? 0) * 1000);
  return { name: "retrying", why, at: now + wait, isGone: false };
}

/** Returns the state after the connection has failed. */
export function failed({ why, attempt, random, now }) {
  return { name: "retrying", why, at: now + pause(attempt, random), isGone: true };
}

/** Returns the short label of the state. */
export function label(state, stale) {
  switch (state.name) {
    case "live":
      return stale ? { tone: "warn", text: "Out of date" } : { tone: "good", text: "Live" };
    case "retrying":
      return state.isGone ? { tone: "bad", text: "Disconnected" } : { tone: "warn", text: "Waiting" };
    case "unauthorized":
      return { tone: "warn", text: "Key needed" };
    case "paused":
      return { tone: "quiet", text: "Paused" };
    default:
      return { tone: "quiet", text: "Connecting" };
  }
}

/** Returns the sentence for the banner; null while there is nothing to say. `since` says how old the copy is. */
export function banner(state, { stale, isComplete, since, now }) {
  const shown = isComplete && since ? ` The table shows the state of ${since}.` : "";
  if (state.name === "retrying") {
    const seconds = Math.max(0, Math.ceil((state.at - now) / 1000));
    const next = seconds > 0 ? ` Next attempt in ${seconds} s.` : " Trying now.";
    const why = state.isGone ? "No connection to the daemon" : "The daemon sends no events now";
    return { tone: state.isGone ? "bad" : "warn", text: `${why}: ${state.why}.${shown}${next}`, canRetry: true };
  }
  if (state.name === "unauthorized") {
    const text = state.wasRefused ? "The daemon refused the API key." : "The daemon needs an API key.";
    return { tone: "warn", text: text + shown, canEnterKey: true };
  }
  if (state.name === "live" && stale) {
    return { tone: "warn", text: `The daemon has lost the cluster: ${stale}.${shown} It continues by itself.` };
  }
  return null;
}

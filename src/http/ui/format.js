// Times and durations as text.

const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
];

/** Returns a duration with one unit, or two while the first is below 10: `45s`, `3m20s`, `25m`, `2h5m`, `12d`. */
export function age(milliseconds) {
  const left = Math.max(0, milliseconds);
  const at = UNITS.findIndex(([, size]) => left >= size);
  if (at < 0) return "0s";
  const [unit, size] = UNITS[at];
  const count = Math.floor(left / size);
  const smaller = UNITS[at + 1];
  if (count >= 10 || !smaller) return `${count}${unit}`;
  const rest = Math.floor((left - count * size) / smaller[1]);
  return rest === 0 ? `${count}${unit}` : `${count}${unit}${rest}${smaller[0]}`;
}

/** Returns a short duration exactly: `0 ms`, `850 ms`, `2.16 s`, `13.3 s`, `2m5s`. */
export function exact(milliseconds) {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${Number((milliseconds / 1000).toPrecision(3))} s`;
  return age(milliseconds);
}

/** Returns how long ago a time was; `–` without a time. */
export const since = (at, now) => (at === null ? "–" : age(now - at));

/** Returns when a time comes: `in 5m`, `12s ago`. */
export function until(at, now) {
  if (at === null) return "–";
  return at >= now ? `in ${age(at - now)}` : `${age(now - at)} ago`;
}

/** Returns a time of day or, if it is not today, the day too, in the local time zone. */
export function moment(at, now) {
  const date = new Date(at);
  const time = date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const isToday = date.toDateString() === new Date(now).toDateString();
  return isToday ? time : `${date.toLocaleDateString(undefined, { month: "short", day: "numeric" })}, ${time}`;
}

/** Returns a number with separators. */
export const number = (value) => value.toLocaleString("en");

/** Returns a number with its noun: `1 sandbox`, `2 sandboxes`. */
export const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;

/** Returns the URL if it is one of the web, else null: other schemes could run a script. */
export function webUrl(text) {
  try {
    const url = new URL(text);
    return ["http:", "https:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

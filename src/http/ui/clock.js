// The time of the daemon, whose timestamps the page shows.

/** Below this difference the clocks count as equal: the daemon sends whole seconds. */
const TOLERANCE = 2000;

let offset = 0;

/** Returns how far the daemon's clock is ahead, by the `Date` header of an answer that has just arrived. */
export function skew(header, now) {
  const sent = header ? Date.parse(header) : NaN;
  const difference = sent - now;
  return Number.isNaN(difference) || Math.abs(difference) <= TOLERANCE ? 0 : difference;
}

/** Takes the daemon's clock from the headers of an answer. */
export function adjust(headers) {
  offset = skew(headers.get("date"), Date.now());
}

/** Returns the daemon's time in milliseconds. */
export const now = () => Date.now() + offset;

// Reads metrics in the text format of Prometheus.

const PREFIX = "sandbox_provisioner_";
const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? ([^ ]+)(?: .*)?$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

/** Returns the samples as `{name, labels, value}`. Lines that are not samples are ignored. */
export function parse(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const match = LINE.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(LABEL)) {
      labels[name] = value.replace(/\\(.)/g, (_, letter) => (letter === "n" ? "\n" : letter));
    }
    const value = number(match[3]);
    if (!Number.isNaN(value)) samples.push({ name: match[1], labels, value });
  }
  return samples;
}

const number = (text) => (text === "+Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text));

/** Returns the value of a metric; null if there is none. */
export function value(samples, name, labels = {}) {
  const found = samples.find((sample) => sample.name === PREFIX + name && has(sample, labels));
  return found ? found.value : null;
}

const has = (sample, labels) => Object.entries(labels).every(([name, value]) => sample.labels[name] === value);

/** Returns a histogram as `{count, sum, buckets}`, with the series of all other labels added up. */
export function histogram(samples, name, labels = {}) {
  const [bounds, full] = [new Map(), PREFIX + name];
  let [count, sum] = [0, 0];
  for (const sample of samples) {
    if (!sample.name.startsWith(full) || !has(sample, labels)) continue;
    if (sample.name === `${full}_bucket`) {
      const bound = number(sample.labels.le);
      bounds.set(bound, (bounds.get(bound) ?? 0) + sample.value);
    } else if (sample.name === `${full}_count`) count += sample.value;
    else if (sample.name === `${full}_sum`) sum += sample.value;
  }
  const buckets = [...bounds].sort(([a], [b]) => a - b).map(([bound, below]) => ({ bound, below }));
  return { count, sum, buckets };
}

/**
 * Returns the value below which this share of the observations lies, interpolated in its bucket; null without
 * observations. Beyond the last bound it is that bound, which `exceeds` then says.
 */
export function quantile({ count, buckets }, share) {
  if (count === 0 || buckets.length === 0) return null;
  const rank = share * count;
  const at = buckets.findIndex(({ below }) => below >= rank);
  if (at < 0 || buckets[at].bound === Infinity) {
    const last = buckets.filter(({ bound }) => bound !== Infinity).at(-1);
    return { seconds: last ? last.bound : 0, exceeds: true };
  }
  const { bound, below } = buckets[at];
  const [from, before] = at === 0 ? [0, 0] : [buckets[at - 1].bound, buckets[at - 1].below];
  const seconds = below === before ? bound : from + ((bound - from) * (rank - before)) / (below - before);
  return { seconds, exceeds: false };
}

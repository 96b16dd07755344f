// Runs tests in Node.js (`node --test`), or in the page of a browser, where `run` runs them.

const isNode = typeof process !== "undefined";
const node = isNode ? await import("node:test") : null;
const waiting = [];

/** Declares a test. */
export function test(name, body) {
  if (node) node.test(name, body);
  else waiting.push([name, body]);
}

/** Runs the declared tests. Returns how many passed, and the messages of the others. */
export async function run() {
  const failed = [];
  for (const [name, body] of waiting) {
    try {
      await body();
    } catch (error) {
      failed.push(`${name}: ${error.message}`);
    }
  }
  return { passed: waiting.length - failed.length, failed };
}

/** Compares two values by their JSON, which suffices for the values of these tests. */
export function equal(found, wanted, message = "") {
  const [one, other] = [found, wanted].map((value) => JSON.stringify(value, (_, part) => (part === undefined ? "undefined" : part)));
  if (one !== other) throw new Error(`${message} found ${one}, wanted ${other}`);
}

/** Numbers that look random and are the same in each run. */
export function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

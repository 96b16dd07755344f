import { Parser } from "../../../src/http/ui/sse.js";
import { equal, test } from "./harness.js";

const STREAM = 'id: a-1\nevent: added\ndata: {"sandbox_id":"é"}\n\n: no changes\n\nevent: reset\ndata: {}\n\nid: a-2\r\nevent: synced\r\ndata: 1\r\ndata: 2\r\n\r\n';
const EVENTS = [
  { name: "added", data: '{"sandbox_id":"é"}' },
  { name: "reset", data: "{}" },
  { name: "synced", data: "1\n2" },
];

test("a stream is the same in pieces of any size", () => {
  for (let size = 1; size <= STREAM.length; size++) {
    const parser = new Parser();
    const found = [];
    for (let at = 0; at < STREAM.length; at += size) found.push(...parser.push(STREAM.slice(at, at + size)));
    equal(found, EVENTS, `pieces of ${size}:`);
    equal(parser.lastId, "a-2");
  }
});

test("an incomplete event is not an event, and does not reach into the next stream", () => {
  const parser = new Parser();
  equal(parser.push("id: 1\nevent: added\ndata: x\n"), []);
  parser.restart();
  equal(parser.push("\n"), []);
  equal(parser.push("data: y\n\n"), [{ name: "message", data: "y" }]);
  equal(parser.lastId, "1");
});

test("a comment and an event without data are not events", () => {
  equal(new Parser().push(": hello\n\nevent: x\n\nid\n\ndata\n\n"), [{ name: "message", data: "" }]);
});

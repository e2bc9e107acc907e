import assert from "node:assert/strict";
import { test } from "node:test";
import { createProgress, formatDuration, formatProgress, type ProgressEvent } from "../../src/model/progress";

test("a steady speed gives the exact time left at every unit", () => {
  let time = 100;
  const events: ProgressEvent[] = [];
  const progress = createProgress({ label: "steps", total: 10, onUpdate: (event) => events.push(event), now: () => time });
  assert.equal(progress.current().secondsLeft, undefined);
  for (let step = 1; step <= 10; step++) {
    time += 3;
    progress.advance();
  }
  assert.deepEqual(events.map((event) => event.secondsLeft), [27, 24, 21, 18, 15, 12, 9, 6, 3, 0]);
  assert.equal(events[9].elapsedSeconds, 30);
});

test("the estimate forgets a slow beginning", () => {
  let time = 0;
  const progress = createProgress({ label: "steps", total: 100, now: () => time });
  time += 60;
  progress.advance();
  for (let step = 1; step < 60; step++) {
    time += 1;
    progress.advance();
  }
  const left = progress.current().secondsLeft ?? NaN;
  // 40 units of one second are left; the plain mean over all units would say 79 s.
  assert.ok(left > 39 && left < 42, `estimated ${left} s`);
});

test("units finished before a resume don't count as speed", () => {
  let time = 0;
  const progress = createProgress({ label: "steps", total: 100, done: 90, now: () => time });
  time += 2;
  assert.equal(progress.advance().secondsLeft, 18);
});

test("a total that isn't positive is refused by name", () => {
  for (const total of [0, -1, NaN, Infinity]) assert.throws(() => createProgress({ label: "nothing", total }), /"nothing".*total/);
});

test("durations and lines read as people write them", () => {
  assert.deepEqual([0, 59.4, 60, 200, 3599.6, 7500].map(formatDuration), ["0 s", "59 s", "1 min", "3 min 20 s", "1 h", "2 h 5 min"]);
  assert.equal(
    formatProgress({ label: "rendering", done: 5, total: 20, elapsedSeconds: 12, secondsLeft: 36 }),
    "rendering 5/20, 25 %, 12 s, 36 s left",
  );
});

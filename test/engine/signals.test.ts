import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";

interface Losses {
  first: number;
  last: number;
}

interface Outcome {
  code: number | null;
  signal: NodeJS.Signals | null;
  losses?: Losses;
  signalsSent: number;
}

/** Runs the training in a child process, sending it the signals all the time while it trains. */
function train(nodeOptions: string[], signals: NodeJS.Signals[]): Promise<Outcome> {
  const child = fork(join(__dirname, "signals-worker.js"), [], { execArgv: nodeOptions, stdio: ["ignore", "ignore", "inherit", "ipc"] });
  let losses: Losses | undefined;
  let signalsSent = 0;
  let sending: NodeJS.Timeout | undefined;
  child.on("message", (message: "training" | Losses) => {
    if (message === "training") {
      sending = setInterval(() => signals.forEach((signal) => child.kill(signal) && signalsSent++), 1);
    } else {
      // At its end a process loses its handlers, and a signal then would end it.
      clearInterval(sending);
      losses = message;
      child.disconnect();
    }
  });
  return new Promise((resolve) =>
    child.on("exit", (code, signal) => {
      clearInterval(sending);
      resolve({ code, signal, losses, signalsSent });
    }),
  );
}

function assertTrained({ code, signal, losses }: Outcome): void {
  assert.deepEqual({ code, signal }, { code: 0, signal: null });
  assert.ok(losses && losses.last < losses.first / 10, `the loss fell from ${losses?.first} to ${losses?.last} only`);
}

describe("training under signals", () => {
  it("ends well while signals arrive every millisecond", async () => {
    const outcome = await train([], ["SIGUSR2", "SIGWINCH", "SIGCHLD"]);
    assertTrained(outcome);
    assert.ok(outcome.signalsSent > 100, `only ${outcome.signalsSent} signals were sent`);
  });

  it("ends well under Node's profiler, which interrupts by signals", async () => {
    const folder = mkdtempSync(join(tmpdir(), "crossflow-profile-"));
    try {
      assertTrained(await train(["--cpu-prof", "--cpu-prof-interval=200", `--cpu-prof-dir=${folder}`], []));
      assert.equal(readdirSync(folder).filter((file) => file.endsWith(".cpuprofile")).length, 1);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

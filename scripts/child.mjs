import { spawn } from "node:child_process";

/** An error that a person is meant to read: shown without a stack. */
export function expectedError(message, exitCode = 1) {
  return Object.assign(new Error(message), { expected: true, exitCode });
}

/**
 * Runs a program on this terminal and gives its exit code (130 if it was interrupted, 128 + n for another signal).
 *
 * Ctrl-C reaches the child by itself when both share a terminal; other signals, and an interrupt sent to this process
 * alone, are passed on. This process waits for the child to end in any case, so that nothing is left running.
 */
export function runOnTerminal(command, commandArguments, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, commandArguments, { stdio: "inherit", ...options });
    const passOn = (signal) => {
      if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
    };
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
    for (const signal of signals) process.on(signal, passOn);
    const finish = (settle, value) => {
      for (const signal of signals) process.off(signal, passOn);
      settle(value);
    };
    child.once("error", (error) => finish(reject, error));
    child.once("exit", (code, signal) => finish(resolve, code ?? 128 + signalNumber(signal)));
  });
}

function signalNumber(signal) {
  return { SIGHUP: 1, SIGINT: 2, SIGABRT: 6, SIGKILL: 9, SIGSEGV: 11, SIGTERM: 15 }[signal] ?? 0;
}

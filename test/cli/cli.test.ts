import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command } from "commander";
import { createProgram } from "../../src/cli";
import { formatTable } from "../../src/cli/output";
import { runCli } from "./run";

/** A command and all below it that do something, with the words that call them. */
function listCommands(command: Command, words: string[] = []): { words: string[]; command: Command }[] {
  const below = command.commands.flatMap((child) => listCommands(child, [...words, child.name()]));
  return command.commands.length > 0 ? below : [{ words, command }];
}

test("an unknown command has near names and exit code 2", () => {
  const { code, stdout, stderr } = runCli(["docter"]);
  assert.equal(code, 2);
  assert.equal(stdout, "");
  assert.match(stderr, /unknown command 'docter'\n\(Did you mean doctor\?\)/);
});

test("an unknown option and a missing subcommand are wrong usage", () => {
  const option = runCli(["doctor", "--jsn"]);
  assert.equal(option.code, 2);
  assert.match(option.stderr, /Did you mean --json\?/);
  assert.equal(runCli(["kernel"]).code, 2);
  assert.equal(runCli(["kernel", "instal"]).code, 2);
});

test("help and version are no errors", () => {
  assert.equal(runCli(["--help"]).code, 0);
  assert.equal(runCli(["kernel", "install", "--help"]).code, 0);
  assert.match(runCli(["--version"]).stdout, /^\d+\.\d+\.\d+\n$/);
});

test("every command has a description, examples that name it, and --json", () => {
  for (const { words, command } of listCommands(createProgram())) {
    let help = "";
    command.configureOutput({ writeOut: (text) => (help += text) });
    command.outputHelp();
    const name = words.join(" ");
    assert.notEqual(command.description(), "", name);
    assert.ok(help.includes(`$ npx crossflow ${name}`), `help of ${name} shows how to call it:\n${help}`);
    // JupyterLab takes over the terminal: it has no result to print.
    if (name !== "lab") assert.match(help, /--json/, name);
  }
});

test("what an encoder's training takes is refused without one, or out of range", () => {
  for (const words of [["--like", "other.safetensors"], ["--images", "photos", "--kl-weight", "1e-4"]]) {
    const { code, stderr } = runCli(["encode", ...words]);
    assert.equal(code, 2);
    assert.match(stderr, /--like and --kl-weight are of a training: give --retrain FILE too/);
  }
  for (const value of ["-1", "few", "", "Infinity"]) {
    const { code, stderr } = runCli(["encode", "--retrain", "new.safetensors", `--kl-weight=${value}`]);
    assert.equal(code, 2);
    assert.match(stderr, /--kl-weight.*Expected a number, 0 or above/);
  }
});

test("a table's columns are as wide as their widest cells", () => {
  assert.equal(formatTable([["a", "long cell", "x"], ["bcd", "y"]]), "a    long cell  x\nbcd  y");
  assert.equal(formatTable([]), "");
});

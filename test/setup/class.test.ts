import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { projectRoot } from "../../src/model/files";
import { environmentPython } from "../../src/setup/python";
import { temporaryFolder } from "./temporary";

const passwords = { CLASS_PASSWORD: "a".repeat(8), TEACHER_PASSWORD: "b".repeat(32) };

/** Reads the hub's configuration as JupyterHub does, with a stand-in for the module docker, whose bridge is not named as in Docker 20.10. */
const readConfiguration = `
import json, sys, types
from traitlets.config.loader import PyFileConfigLoader
network = types.SimpleNamespace(attrs={"IPAM": {"Config": [{"Subnet": "172.17.0.0/16"}]}})
client = types.SimpleNamespace(networks=types.SimpleNamespace(get=lambda name: network))
sys.modules["docker"] = types.SimpleNamespace(from_env=lambda: client)
config = PyFileConfigLoader(sys.argv[1]).load_config()
spawner = types.SimpleNamespace(user=types.SimpleNamespace(name="grace.h"), escaped_name="grace-2eh")
config.Spawner.pre_spawn_hook(spawner)
print(json.dumps({"hubIp": config.JupyterHub.hub_ip, "folder": config.DockerSpawner.notebook_dir, "volumes": config.DockerSpawner.volumes, "url": config.Spawner.default_url, "command": spawner.cmd}))
`;
const file = join(projectRoot(), "deploy", "jupyterhub_config.py");
const runPython = (environment: NodeJS.ProcessEnv) => spawnSync(environmentPython(projectRoot()), ["-c", readConfiguration, file], { encoding: "utf8", env: { PATH: process.env.PATH, ...environment } });

test("a hub's participants start in the copy that their container makes, in the image's folders", () => {
  const { status, stdout, stderr } = runPython(passwords);
  assert.equal(status, 0, stderr);
  const { hubIp, folder, volumes, url, command } = JSON.parse(stdout);
  assert.equal(hubIp, "172.17.0.1");
  const opened = /^\/lab\/tree\/workshop\/\{username\}\/([\w-]+\.ipynb)$/.exec(url);
  assert.ok(opened && existsSync(join(projectRoot(), "notebooks", opened[1])), url);

  const image = readFileSync(join(projectRoot(), "binder", "Dockerfile"), "utf8");
  const home = `/home/${/^ARG NB_USER=(\w+)$/m.exec(image)?.[1]}`;
  assert.equal(folder, /^WORKDIR (.*crossflow)$/m.exec(image)?.[1].replace("${HOME}", home));
  const [[volume, mounted]] = Object.entries<string>(volumes);
  assert.match(volume, /\{username\}/);
  // A volume belongs to its user only where the image has its folder.
  assert.match(image, new RegExp(`install --directory --owner=.* ${mounted.replace(home, "\\$\\{HOME\\}")}$`, "m"));
  const hubVersion = /jupyterhub==[\d.]+/;
  assert.equal(hubVersion.exec(image)?.[0], hubVersion.exec(readFileSync(file, "utf8"))?.[0]);

  // The command, with stand-ins for the folder and for what it starts.
  const place = temporaryFolder();
  for (const name of ["npx", "jupyterhub-singleuser"]) writeFileSync(join(place, name), `#!/bin/sh\necho ${name} "$@" "log: $CROSSFLOW_WORKSHOP_LOG"\n`, { mode: 0o755 });
  const [shell, flag, script, ...names] = command;
  const lines = execFileSync(shell, [flag, script.replace(folder, place), ...names, "--debug"], { encoding: "utf8", env: { PATH: `${place}:${process.env.PATH}` } }).trim().split("\n");
  assert.deepEqual(lines, ["npx crossflow workshop --participant grace-2eh --no-lab log: ", `jupyterhub-singleuser --debug log: ${place}/workshop/grace-2eh/times.jsonl`]);
});

test("a hub without passwords, or with short ones, says which variable to set", () => {
  for (const [environment, missing] of [[{}, "CLASS_PASSWORD"], [{ ...passwords, CLASS_PASSWORD: "short" }, "CLASS_PASSWORD"], [{ CLASS_PASSWORD: passwords.CLASS_PASSWORD }, "TEACHER_PASSWORD"]] as const) {
    const { status, stderr } = runPython(environment);
    assert.equal(status, 1);
    assert.match(stderr, new RegExp(`^Set the variable ${missing} to a password of at least \\d+ characters`, "m"));
  }
});

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { tf } from "../../src/model/engine/tf";
import { EFFICIENTNET_LITE_WEIGHTS, efficientNetLiteParameters } from "../../src/model/features/efficientnet-lite";
import { lpipsHeadWeights, vgg16Weights } from "../../src/model/features/lpips";
import { projectRoot } from "../../src/model/files";
import { readSafetensors, writeSafetensors, type SafetensorsTensor } from "../../src/model/safetensors";
import { hasWeights, weightsFiles } from "../../src/model/weights/available";
import { convertWeights, loadWeights } from "../../src/model/weights/load";
import { bestDialect, describeMisfit, fits, type WantedWeights } from "../../src/model/weights/name-map";
import { PRETRAINED_NETWORKS } from "../../src/model/weights/networks";
import { findWeights, type PublishedWeights } from "../../src/model/weights/published";
import { openWeights } from "../../src/model/weights/weights-file";
import { runCli } from "../cli/run";
import { seededFile, seededTensor } from "../seeded-weights";

const folder = mkdtempSync(join(tmpdir(), "weights-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const vector = (...values: number[]): SafetensorsTensor => ({ dtype: "F32", shape: [values.length], data: Float32Array.from(values) });
const matrix = (rows: number[][]): SafetensorsTensor => ({ dtype: "F32", shape: [rows.length, rows[0].length], data: Float32Array.from(rows.flat()) });

/** A linear map of which the bias of its second half is left out, and a vector. */
const WANTED: WantedWeights = {
  network: "small",
  dialects: [
    {
      name: "split",
      parameters: {
        "map.weight": { from: ["first.weight", "second.weight"], layout: "linear", shape: [3, 4] },
        "map.bias": { from: ["first.bias", undefined], layout: "same", shape: [4] },
        token: { from: "token", layout: "row", shape: [3] },
      },
      ignored: /^counter$/,
    },
  ],
};
const PUBLISHED = {
  "model.first.weight": matrix([[1, 2, 3], [4, 5, 6]]),
  "model.second.weight": matrix([[7, 8, 9], [10, 11, 12]]),
  "model.first.bias": vector(1, 2),
  "model.token": { dtype: "F32", shape: [1, 1, 3], data: Float32Array.of(5, 6, 7) } as SafetensorsTensor,
  "model.counter": vector(0),
  "optimizer.step": vector(9),
};

test("names, prefixes, layouts, joined and absent parts become our parameters; a converted file loads alike", async () => {
  const file = join(folder, "published.safetensors");
  await writeSafetensors(file, PUBLISHED);
  const before = tf.memory().numTensors;
  const { parameters, dialect, digest } = await loadWeights(WANTED, file);
  assert.equal(dialect, "split");
  assert.match(digest, /^[0-9a-f]{16}$/);
  assert.deepEqual(parameters["map.weight"].arraySync(), [[1, 4, 7, 10], [2, 5, 8, 11], [3, 6, 9, 12]]);
  assert.deepEqual(parameters["map.bias"].arraySync(), [1, 2, 0, 0]);
  assert.deepEqual(parameters.token.arraySync(), [5, 6, 7]);
  const converted = join(folder, "converted.safetensors");
  assert.deepEqual(await convertWeights(WANTED, file, converted), { tensors: 3, bytes: 4 * (12 + 4 + 3), dialect: "split" });
  assert.deepEqual((await readSafetensors(converted)).metadata, { kind: "crossflow weights", network: "small", source: digest, dialect: "split" });
  const own = await loadWeights(WANTED, converted);
  assert.equal(own.dialect, "crossflow");
  for (const [name, tensor] of Object.entries(own.parameters)) assert.deepEqual(tensor.arraySync(), parameters[name].arraySync(), name);
  tf.dispose([parameters, own.parameters]);
  assert.equal(tf.memory().numTensors, before);
});

test("missing, spare and misshaped tensors stand in one error, and nothing leaks", async () => {
  const file = join(folder, "faulty.safetensors");
  await writeSafetensors(file, { "first.weight": matrix([[1, 2, 3], [4, 5, 6]]), "second.weight": matrix([[7, 8], [9, 10]]), "first.bias": vector(1, 2), tokens: vector(1) });
  const before = tf.memory().numTensors;
  await assert.rejects(
    loadWeights(WANTED, file),
    /faulty\.safetensors does not hold the weights of small \(as split names them\): 1 missing \(token\); 1 unknown \(tokens\); 1 of another shape \(second\.weight \[2,2\] instead of \[2,3\]\)/,
  );
  await writeSafetensors(file, { ...PUBLISHED, "model.first.bias": { dtype: "I32", shape: [2], data: Int32Array.of(1, 2) } });
  await assert.rejects(loadWeights(WANTED, file), /"model\.first\.bias" has dtype I32/);
  assert.equal(tf.memory().numTensors, before);
  await assert.rejects(openWeights(join(folder, "weights.h5")), /Can't tell the format of .*weights\.h5/);
  await assert.rejects(openWeights(join(folder, "absent.pth")), /There is no file .*absent\.pth/);
  mkdirSync(join(folder, "folder.pth"));
  await assert.rejects(openWeights(join(folder, "folder.pth")), /folder\.pth isn't a file, expected a PyTorch checkpoint/);
});

test("PyTorch's files are read, and their digest is that of the bytes", async () => {
  const opened = await openWeights(join(projectRoot(), "test/golden/checkpoint-zip.pth"));
  assert.deepEqual(opened.shapes["model.weight"], [1, 2]);
  assert.deepEqual(await opened.read("model.weight"), Float32Array.of(1, 2));
  assert.deepEqual(await opened.read("state_dict.double"), Float32Array.of(0.1, -0.2));
  await assert.rejects(opened.read("state_dict.long"), /holds whole numbers/);
  await assert.rejects(opened.read("absent"), /is not there/);
});

test("no network's file is taken for another's, in any of its dialects", () => {
  const networks = PRETRAINED_NETWORKS.flatMap(({ name, wanted }) => (wanted ? [{ name, wanted: wanted() }] : []));
  for (const { name, wanted } of networks) {
    for (const dialect of wanted.dialects) {
      const { shapes } = seededFile(wanted, dialect);
      const fitting = networks.filter((other) => fits(bestDialect(other.wanted, shapes).misfit)).map((other) => other.name);
      // Both of Stability's files have one shape: their contents alone tell them apart.
      assert.deepEqual(fitting, name.startsWith("sd-vae") ? ["sd-vae", "sd-vae-ema"] : [name], `${name} as ${dialect.name}`);
    }
  }
  const { misfit } = bestDialect(lpipsHeadWeights(), { "lin0.model.1.weight": [1, 64, 1, 1] });
  assert.match(describeMisfit(misfit), /^4 missing \(lin1\.model\.1\.weight, .*\)$/);
});

test("a file is looked for in the cache; the error says which, where from, under which licence and where to put it", () => {
  const published: PublishedWeights = { folder: "nowhere-at-all", file: "a.pth", description: "Test weights", publishedAs: "https://example.org/a", license: "MIT License", megabytes: 12, obtainedBy: "download" };
  assert.throws(() => findWeights([published, { ...published, file: "b.pth" }]), /Test weights not found: .*nowhere-at-all.a\.pth or .*b\.pth\. It is the file a\.pth of https:\/\/example\.org\/a \(MIT License; 12 MB\), or .*Download it and put it there/);
  const file = join(folder, "given.pth");
  writeFileSync(file, "");
  assert.equal(findWeights(published, file), file);
});

test("a notebook is told which files a network wants, where they go, and whether one is there", () => {
  const [first, second] = weightsFiles("vgg16");
  assert.deepEqual([first.file, second.file, first.licence, first.size], ["vgg16-397923af.pth", "or model.safetensors", "BSD 3-Clause (torchvision)", "553 MB"]);
  assert.deepEqual(weightsFiles("va-vae").map(({ file: name, size }) => [name, size]), [["vavae-imagenet256-f16d32-dinov2.pt", "279 MB of parameters"], ["and latents_stats.pt", "small"]]);
  assert.match(first["put it at"], /vgg16.vgg16-397923af\.pth$/);
  assert.deepEqual([hasWeights("efficientnet-lite0"), weightsFiles("efficientnet-lite0")[0].here, weightsFiles("efficientnet-lite0")[0]["put it at"]], [true, "yes", "fetched by set-up"]);
  assert.equal(new Set(weightsFiles().map(({ network }) => network)).size, 12, "all networks by default");
  assert.throws(() => weightsFiles("dinov3"), /Unknown network "dinov3"\. Did you mean dinov3-/);
});

test("a network counts as here only with all that it wants", () => {
  const [cache, place] = [process.env.CROSSFLOW_CACHE, join(folder, "cache")];
  process.env.CROSSFLOW_CACHE = place;
  try {
    mkdirSync(join(place, "va-vae"), { recursive: true });
    writeFileSync(join(place, "va-vae", "vavae-imagenet256-f16d32-dinov2.pt"), "");
    assert.equal(hasWeights("va-vae"), false);
    writeFileSync(join(place, "va-vae", "latents_stats.pt"), "");
    assert.equal(hasWeights("va-vae"), true);
  } finally {
    if (cache === undefined) delete process.env.CROSSFLOW_CACHE;
    else process.env.CROSSFLOW_CACHE = cache;
  }
});

test("crossflow weights list, check and convert", async () => {
  const listed = runCli(["weights", "list"]);
  assert.equal(listed.code, 0);
  assert.match(listed.stdout, /vgg16: LPIPS.*59 MB of parameters as float32\n  vgg16-397923af\.pth, 553 MB\n(.*\n){3}  or model\.safetensors, 553 MB\n/);
  assert.match(listed.stdout, /va-vae: .*\n  vavae.*\.pt\n(.*\n){3}  and latents_stats\.pt\n    from https:/);
  assert.match(listed.stdout, /inception-fid: FID.*\n.*pt_inception-2015-12-05-6726825d\.pth, 95\.6 MB\n.*from https:.*\n.*licence: Apache/);
  const networks = JSON.parse(runCli(["weights", "list", "--json"]).stdout).networks as { name: string; parameterBytes?: number }[];
  assert.equal(networks.find(({ name }) => name === "sd-vae")?.parameterBytes, 4 * 83_653_863);

  const lite = findWeights(EFFICIENTNET_LITE_WEIGHTS.lite0);
  assert.deepEqual(JSON.parse(runCli(["weights", "check", lite, "--json"]).stdout).fits, [{ network: "efficientnet-lite0", dialect: "PyTorch" }]);
  const other = runCli(["weights", "check", lite, "--network", "efficientnet-lite2"]);
  assert.match(other.stderr, /Nearest is efficientnet-lite2 \(as PyTorch names it\): \d+ missing .*; \d+ of another shape \(/);
  const own = join(folder, "lite0.safetensors");
  assert.equal(runCli(["weights", "convert", lite, "--out", own]).code, 0);
  const [fromPublished, fromConverted] = [efficientNetLiteParameters("lite0"), efficientNetLiteParameters("lite0", own)];
  for (const [name, tensor] of Object.entries(fromPublished)) assert.deepEqual(fromConverted[name].dataSync(), tensor.dataSync(), name);
  tf.dispose([fromPublished, fromConverted]);

  const heads = lpipsHeadWeights();
  const tensors = Object.entries(seededFile(heads).shapes).map(([name, shape]): [string, SafetensorsTensor] => [name, { dtype: "F32", shape: [...shape], data: seededTensor(name, shape) }]);
  const file = join(folder, "heads.safetensors");
  await writeSafetensors(file, Object.fromEntries(tensors));
  const checked = JSON.parse(runCli(["weights", "check", file, "--json"]).stdout);
  assert.deepEqual([checked.ok, checked.tensors, checked.fits], [true, 5, [{ network: "lpips-vgg16-heads", dialect: "lpips" }]]);
  const converted = runCli(["weights", "convert", file]);
  assert.equal(converted.code, 0, converted.stderr);
  const target = join(folder, "heads.crossflow.safetensors");
  const { parameters } = await loadWeights(heads, target);
  assert.deepEqual(parameters["lin0.weight"].shape, [64, 1]);
  assert.deepEqual(parameters["lin0.weight"].dataSync(), seededTensor("lin0.model.1.weight", [1, 64, 1, 1]));
  tf.dispose(parameters);

  assert.match(runCli(["weights", "convert", file, "--out", file]).stderr, /heads\.safetensors is the published file itself, which would be lost/);
  const broken = join(folder, "broken.safetensors");
  await writeSafetensors(broken, { ...Object.fromEntries(tensors), "lin1.model.1.weight": { dtype: "F32", shape: [1, 128, 1, 1], data: new Float32Array(128).fill(NaN) } });
  assert.match(runCli(["weights", "check", broken]).stderr, /has the names and shapes of lpips-vgg16-heads, but 1 of its tensors hold values that are not finite \(lin1\.model\.1\.weight\)/);

  const wrong = runCli(["weights", "check", file, "--network", "vgg16"]);
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /holds no network's weights as they are wanted\. Nearest is vgg16 \(as .*\): 26 missing .*5 unknown/);
  assert.equal(runCli(["weights", "check", file, "--network", "vgg17"]).code, 2);
  assert.equal(readFileSync(file).length > 0, true);
  assert.equal(Object.keys(vgg16Weights().dialects[0].parameters).length, 26);
});

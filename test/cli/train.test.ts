import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, readdirSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import sharp from "sharp";
import { latestCheckpoint } from "../../src/model/checkpoint";
import { projectRoot } from "../../src/model/files";
import { readMetrics, runPaths } from "../../src/model/run";
import { float32Values, readSafetensors } from "../../src/model/safetensors";
import { writeColour } from "../data/small-images";
import { halfWrittenFiles, temporaryProject } from "./temporary-project";

const SMALL = ["--steps", "40", "--set", "trainCount=64", "--set", "batchSize=4", "--set", "sampleEvery=0", "--set", "checkpointEvery=1000", "--set", "compile=false", "--set", "optimizer=adamw"];

describe("crossflow train", () => {
  const project = temporaryProject();
  const runs = join(project.folder, "runs");
  const paths = runPaths("first", runs);
  const steps = (): number[] => readMetrics(paths.metricsFile).map(({ step }) => step);
  /** A command that must fail with one line on the error output, which is returned. */
  const failure = (commandLine: readonly string[]): string => {
    const { code, stdout, stderr } = project.run(commandLine);
    assert.deepEqual([code, stdout], [1, ""], stderr);
    assert.equal(stderr.trim().split("\n").length, 1, stderr);
    return stderr;
  };

  it("stops at Ctrl-C with a checkpoint and exit code 130, and goes on from there", async () => {
    const training = ["train", "first", ...SMALL];
    for (const resume of [[], ["--resume"]]) {
      const before = steps().length;
      const { code, stderr } = await project.interrupt([...training, ...resume], (printed) => /^training \d+\/40/m.test(printed));
      assert.equal(code, 130, stderr);
      const done = Number(/Interrupted after step (\d+)\. The checkpoint is kept: .*--resume/.exec(stderr)?.[1]);
      assert.ok(done > before, stderr);
      assert.deepEqual(steps(), Array.from({ length: done }, (_, index) => index + 1));
      assert.equal(latestCheckpoint(paths.checkpoints), join(paths.checkpoints, `step-${String(done).padStart(8, "0")}`));
      assert.deepEqual(halfWrittenFiles(project), []);
    }
  });

  it("refuses a run's name, another preset and a checkpoint that was cut in half, and keeps the run", () => {
    const contents = (): string[] => readdirSync(paths.folder, { recursive: true, encoding: "utf8" }).sort();
    const before = contents();
    assert.match(failure(["train", "first", ...SMALL]), /there is a run "first" in .*resume.*replace.*another name/);
    assert.match(failure(["train", "first", ...SMALL, "--resume", "--preset", "small"]), /"first" can not go on from step \d+ with another configuration: preset \("tiny" there, "small" here\)/);
    const tensors = join(latestCheckpoint(paths.checkpoints)!, "tensors.safetensors");
    truncateSync(tensors, Math.floor(readFileSync(tensors).length / 2));
    assert.ok(failure(["train", "first", ...SMALL, "--resume"]).includes(tensors));
    assert.deepEqual(contents(), before);
  });

  it("lists unknown options and values out of range at once", () => {
    assert.match(failure(["train", "faulty", "--set", "batchsize=3", "--set", "batchSize=-4"]), /batchSize must be a whole number of at least 1 \(images\), not -4; there is no option "batchsize"; did you mean batchSize\?/);
  });

  it("says what is wrong with a folder of images, and leaves no run behind", async () => {
    const [empty, single, cut] = ["empty", "single", "cut"].map((name) => join(project.folder, name));
    mkdirSync(empty);
    for (const [folder, name] of [[single, "only"], [cut, "a"], [cut, "b"]]) for (let index = 0; index < 3; index++) await writeColour(join(folder, name, `${index}.png`), [index, 0, 0]);
    truncateSync(join(cut, "a", "1.png"), 40);
    const train = (folder: string): string => failure(["train", "mine", "--set", "dataset=folder", "--set", `dataPath=${folder}`]);
    assert.match(train(empty), /holds no class folders: expected one sub-folder per class/);
    assert.match(train(single), /has one class, "only": expected .*at least two/);
    const broken = project.run(["train", "mine", "--set", "dataset=folder", "--set", `dataPath=${cut}`]);
    assert.match(broken.stderr, /1 of 6 images in .*cut can't be used, more than 10 %.*\n  a\/1\.png: it is damaged/);
    assert.ok(!existsSync(join(runs, "mine")));
  });

  it("trains on from a model", async () => {
    const source = runPaths("source", runs).modelFile;
    // At a rate of zero the weights stay what they start with.
    const still = ["--steps", "1", "--set", "learningRate=0"];
    for (const commandLine of [["source", ...SMALL, "--steps", "1"], ["on", ...SMALL, ...still, "--from", source]]) {
      const { code, stderr } = project.run(["train", ...commandLine]);
      assert.equal(code, 0, stderr);
    }
    const [{ tensors: ours }, { tensors: theirs }] = await Promise.all([runPaths("on", runs).modelFile, source].map((file) => readSafetensors(file)));
    for (const [name, tensor] of Object.entries(theirs)) {
      const expected = float32Values(tensor, name);
      assert.ok(float32Values(ours[name], name).every((value, index) => Math.abs(value - expected[index]) <= 1e-6 * (1 + Math.abs(value))), name);
    }
  });

  it("learns from a teacher, and names one that is not there", () => {
    const source = runPaths("source", runs).modelFile;
    const { code, stderr } = project.run(["train", "taught", ...SMALL, "--steps", "1", "--teacher", source]);
    assert.equal(code, 0, stderr);
    const { endTarget, teacherModel, initialModel } = JSON.parse(readFileSync(join(runs, "taught", "config.json"), "utf8")) as Record<string, unknown>;
    assert.deepEqual([endTarget, teacherModel, initialModel], ["distillation", source, ""]);
    assert.match(failure(["train", "mine", ...SMALL, "--teacher", join(project.folder, "none.safetensors")]), /There is no file .*none\.safetensors/);
    assert.ok(!existsSync(join(runs, "mine")));
  });

  it("matches the distribution of a guided teacher, and says what is missing for it", () => {
    const [source, flow] = ["source", "flow"].map((name) => runPaths(name, runs).modelFile);
    const matching = ["--teacher", flow, "--guide", flow, "--set", "endTarget=distribution", "--set", "guidance=1.5"];
    for (const commandLine of [["flow", ...SMALL, "--steps", "1", "--set", "method=latent-flow"], ["matched", ...SMALL, "--steps", "1", "--from", source, ...matching]]) {
      const { code, stderr } = project.run(["train", ...commandLine]);
      assert.equal(code, 0, stderr);
    }
    const { endTarget, teacherModel, guideModel, guidance } = JSON.parse(readFileSync(join(runs, "matched", "config.json"), "utf8")) as Record<string, unknown>;
    assert.deepEqual([endTarget, teacherModel, guideModel, guidance], ["distribution", flow, flow, 1.5]);
    assert.match(failure(["train", "mine", ...SMALL, "--set", "endTarget=distribution"]), /learns from a trained latent flow: set teacherModel to its file/);
    assert.match(failure(["train", "mine", ...SMALL, "--teacher", source, "--set", "endTarget=distribution"]), /needs a teacher of the method "latent-flow"/);
    assert.match(failure(["train", "mine", ...SMALL, "--guide", flow]), /guideModel serves endTarget "distillation", "distribution", and "refinement"/);
    assert.match(failure(["train", "mine", ...SMALL, "--teacher", flow, "--guide", join(project.folder, "none.safetensors")]), /There is no file .*none\.safetensors/);
    const decoded = project.run(["train", "decoded", ...SMALL, "--steps", "1", "--from", source, ...matching, "--decoder", source]);
    assert.equal(decoded.code, 0, decoded.stderr);
    assert.equal((JSON.parse(readFileSync(join(runs, "decoded", "config.json"), "utf8")) as Record<string, unknown>).decoderModel, source);
    assert.match(failure(["train", "mine", ...SMALL, "--from", source, ...matching, "--decoder", flow]), /a model of the method "latent-flow" makes no images of latents/);
    assert.match(failure(["train", "mine", ...SMALL, "--decoder", source]), /decoderModel serves endTarget "distillation", "distribution", and "refinement"/);
    assert.ok(!existsSync(join(runs, "mine")));
  });

  it("learns from pairs that a flow made before, and says what is wrong with them", () => {
    const [source, flow] = ["source", "flow"].map((name) => runPaths(name, runs).modelFile);
    const file = join(project.folder, "pairs.safetensors");
    const made = project.run(["pairs", file, "--teacher", flow, "--guide", flow, "--decoder", source, "--from", source, "--count", "16", "--json"]);
    assert.equal(made.code, 0, made.stderr);
    const { pairs, recipe } = JSON.parse(made.stdout) as { pairs: number; recipe: string };
    assert.equal(pairs, 16);
    assert.match(recipe, /^teacher \S+model\.safetensors \(\w{12}\), guide \S+ \(\w{12}\) with guidance 2, decoded by \S+model\.safetensors \(\w{12}\), images of \S+ \(\w{12}\) from time 0\.5 of exchanged noise, 8 evaluations with spacing 1\.5, seed 0$/);
    const { code, stderr } = project.run(["train", "by-pairs", ...SMALL, "--steps", "1", "--from", source, "--pairs", file]);
    assert.equal(code, 0, stderr);
    const { endTarget, pairsFile } = JSON.parse(readFileSync(join(runs, "by-pairs", "config.json"), "utf8")) as Record<string, unknown>;
    assert.deepEqual([endTarget, pairsFile], ["pairs", file]);
    const refusal = (...flags: string[]): string => project.run(["pairs", ...flags]).stderr;
    assert.match(refusal(file, "--teacher", flow, "--count", "32"), /holds pairs that were made otherwise/);
    for (const [option, value, needed] of [["start", "0.7", "from"], ["noise", "own", "from"], ["guidance", "3", "guide"]]) assert.match(refusal(file, "--teacher", flow, `--${option}`, value), new RegExp(`--${option} means nothing without --${needed}: add --${needed}`));
    assert.match(refusal(join(project.folder, "more.safetensors"), "--teacher", source), /--teacher must be a model of the method "latent-flow"/);
    assert.match(refusal(join(project.folder, "more.safetensors"), "--teacher", flow, "--from", flow), /--from must be a CrossFlow network, and .* is a latent flow/);
    assert.match(refusal(join(project.folder, "more.safetensors"), "--teacher", flow, "--decoder", flow), /a model of the method "latent-flow" makes no images of latents/);
    assert.match(refusal("more.txt", "--teacher", flow), /Pairs are kept in a \.safetensors file, not more\.txt/);
    assert.match(refusal(file, "--teacher", flow, "--count", "0"), /--count must be at least 1, not 0/);
    assert.match(refusal(file, "--teacher", flow, "--from", source, "--start", "2"), /--start is a time above 0 and at most 1, not 2/);
    assert.match(failure(["train", "mine", ...SMALL, "--pairs", source]), /holds no pairs/);
    assert.ok(!existsSync(join(runs, "mine")));
  });

  it("of a latent flow, draws pictures of the data's size in as many evaluations as are asked for", async () => {
    const [source, out] = [runPaths("source", runs).modelFile, join(project.folder, "flow.png")];
    const { code, stderr } = project.run(["sample", "flow", "--count", "2", "--scale", "1", "--evaluations", "4", "--out", out, "--json"]);
    assert.equal(code, 0, stderr);
    const { width, height } = await sharp(out).metadata();
    assert.ok(width >= 2 * 32 && width < 3 * 32 && height >= 8 * 32 && height < 9 * 32, `${width} x ${height}`);
    const refusal = (...flags: string[]): string => project.run(["sample", ...flags]).stderr;
    assert.match(refusal(source, "--evaluations", "4"), /--evaluations serves models of many steps, and .*source.*"crossflow", makes an image in one/);
    const decodedOut = join(project.folder, "decoded.png");
    const decoded = project.run(["sample", "flow", "--count", "2", "--scale", "1", "--evaluations", "4", "--decoder", "source", "--out", decodedOut, "--json"]);
    assert.equal(decoded.code, 0, decoded.stderr);
    assert.equal((JSON.parse(decoded.stdout) as { sampling: string }).sampling, "4 evaluations a sample, decoded by source");
    assert.notDeepEqual(readFileSync(decodedOut), readFileSync(out));
    assert.match(refusal("flow", "--decoder", "flow"), /--decoder flow can not be used: a model of the method "latent-flow" makes no images of latents\. Choose one of the method crossflow or decoder/);
    assert.match(refusal(source, "--decoder", source), /--decoder makes images of latents, and .*source.*"crossflow", makes none: leave it out/);
    assert.match(refusal(join(projectRoot(), "checkpoints", "avatars-decoder.safetensors")), /avatars-decoder\.safetensors makes images of latents and none of noise: let it decode those of a latent flow/);
    assert.match(refusal("flow", "--evaluations", "5"), /--evaluations must be an even number from 2, not 5/);
    assert.match(refusal("flow", "--r", "0.1"), /--r is the time that CrossFlow's network is asked for, and .* is of the method "latent-flow"/);
  });

  it("names a model that it can not start from", () => {
    const source = runPaths("source", runs).modelFile;
    assert.match(failure(["train", "mine", ...SMALL, "--from", join(project.folder, "none.safetensors")]), /There is no file .*none\.safetensors/);
    assert.match(failure(["train", "mine", ...SMALL, "--preset", "small", "--from", source]), /source.model\.safetensors does not fit this training: width \(128 there, 192 here\), depth \(4 there, 6 here\)/);
    assert.ok(!existsSync(join(runs, "mine")));
  });
});

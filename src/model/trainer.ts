import { join } from "node:path";
import { augmentationsOf, drawAugmentation } from "./augmentation";
import { generateImages, methodResources } from "./baselines";
import { restoreCheckpoint, saveCheckpoint, startFromModel, type EarlierTrainings } from "./checkpoint";
import { isRefined, isTaught, LATENT_SHARDS, resolveConfig, resolvedTimeShift, type TrainConfig } from "./config";
import { epochBatches, imagesToPixels, type EpochBatches } from "./data";
import { EARLIER_SHARE } from "./consistency";
import { loadTeacher, type LoadedTeacher } from "./distillation";
import { MATCHING_DRAWS, MATCHING_TIMES } from "./distribution-matching";
import { createDiagnosticsWindow, createProbe, type Diagnostics, type DiagnosticsWindow, type Probe } from "./diagnostics";
import { copyOfValues, updateToWeight } from "./diagnostics/update-ratio";
import { tf } from "./engine/tf";
import type { FeatureNetwork } from "./features/feature-network";
import { portablePath } from "./files";
import { imageGrid, writePicture } from "./image-files";
import { interruptSignal, yieldToEventLoop } from "./interrupt";
import { LossError, lossNamed, type FeatureLevels } from "./losses";
import { latentReference } from "./marginal-velocity";
import { networksOfLosses } from "./metrics/independence";
import { saveModel, type Model } from "./model";
import { emaDecayAt, learningRateAt, powerDecayAt, SNAPSHOT_SPREADS } from "./optimizer";
import { pairDraw, readPairs, type PairDraw } from "./pairs";
import { createProgress, type ProgressListener } from "./progress";
import { randomStream, type RandomStream } from "./random";
import { loadTrainingResources, trainingResources, type Resources, type TrainingResources } from "./resources";
import { appendMetrics, findRun, interruptedTrainingEnds, noteTraining, openRun, readDiagnostics, runPaths, type ExistingRun } from "./run";
import { lossShareAt } from "./schedules";
import { hasSnapshot, saveSnapshot } from "./snapshots";
import { addSampleFlow, adversarialName, createTrainingState, disposeTrainingState, type StreamName, type TrainingState } from "./training-state";
import { batchesAhead, classLabels, repeatedRows, type BatchesAhead, type Rows, type TrainingRows } from "./training-rows";
import { SAMPLE_OUTPUTS, trainingStep, type CriticInputs, type FrozenParts, type MatchingInputs, type PairInputs, type SnapshotInputs, type StepInputs, type TrainingStep } from "./training-step";
import { sampleTimes } from "./trajectory";

/** What one step of a training tells. */
export interface StepEvent {
  /** Steps done, 1 to `steps`. */
  step: number;
  steps: number;
  /** Value of each loss that counted, unweighted, by name; and of the critic's own, "critic". */
  losses: Record<string, number>;
  /** The weighted sum of the losses. */
  total: number;
  /** Joint norm of the gradients before clipping. */
  gradientNorm: number;
  /** Mean |t R|, whatever the losses: by how much F misses its target. */
  residual: number;
  /** AdamW's rate in this step. */
  learningRate: number;
  /** Seconds of the step and, of these, spent on getting its data ready. */
  seconds: number;
  dataSeconds: number;
  /** Share of the step's time, compiling aside, in which it waited for its data. */
  waitShare: number;
  elapsedSeconds: number;
  secondsLeft: number | undefined;
  /** Samples of the averaged weights, the same noise and classes each time: bytes [N, S, S, 3] and labels. */
  samples?: { pixels: Uint8ClampedArray; count: number; imageSize: number; labels: number[] };
  /** Pretrained networks that losses of this training, and of those it went on from, use: what is measured in them is not independent. */
  lossNetworks: readonly string[];
  /** What the training showed since the diagnostics before, in steps that have them; its `alarms` name signs of a collapse, their cause and cure. */
  diagnostics?: Diagnostics;
  /** Folder of the checkpoint that was written after this step. */
  checkpoint?: string;
}

export interface TrainOptions {
  /** Stops the training cleanly; a notebook's stop button does so by default. */
  signal?: AbortSignal;
  /** Hears of the long parts before the first step: rendering, encoder, latents, compiling. */
  onProgress?: ProgressListener;
  /** Data, encoder and latents, where they are loaded already; the caller disposes of them. */
  resources?: Resources;
  /** What to do when a run of that name exists; "fail" by default. */
  existing?: ExistingRun;
  /** Folder of the runs; `runs` in the project's folder by default. */
  runsFolder?: string;
  /** Hears of the weights that it starts from (step 0, or the checkpoint's) and of those after each step, which are the training's own: to be read at once, neither kept nor changed. */
  onWeights?: (step: number, parameters: Readonly<Record<string, tf.Tensor>>) => void;
  /** Samples of each class in an event's grid. */
  samplesPerClass?: number;
}

/**
 * Trains a network by the configuration, one event a step:
 *
 *     for await (const event of train({ name: "mine", steps: 500 })) console.log(event.step, event.total);
 *
 * Leaving the loop, or aborting the signal, stops after the step under way and writes a checkpoint, from which the same call with
 * `existing: "resume"` goes on bit for bit. At the end the averaged weights lie in the run's folder as model.safetensors.
 * @throws Error for a faulty configuration, a run that exists, a full disk, or a loss that is no longer finite (naming it and the step; the checkpoints before stay)
 */
export async function* train(given: Partial<TrainConfig>, options: TrainOptions = {}): AsyncGenerator<StepEvent, void, undefined> {
  const config = resolveConfig(given);
  const lossNames = Object.keys(config.losses).filter((name) => config.losses[name] > 0);
  if (lossNames.length === 0) throw new Error("the configuration gives no loss a weight above 0: set losses, such as { pixel: 1 }");
  [...lossNames, ...Object.keys({ ...config.lossStart, ...config.lossRampSteps, ...config.lossRamp, ...config.lossClasses })].forEach(lossNamed);
  if (config.horizontalFlip && (options.resources || config.dataset !== LATENT_SHARDS)) throw new Error("horizontalFlip needs latents of the mirrored images, which latent-shards alone hold: set horizontalFlip to false, or encode the images to shards");
  const adversarial = adversarialName(config);
  const signal = options.signal ?? interruptSignal();
  signal.throwIfAborted();
  await interruptedTrainingEnds(runPaths(config.name, options.runsFolder));
  const found = findRun(config, options.existing ?? "fail", options.runsFolder);
  const { run, checkpoint } = found;
  const loaded = options.resources ? undefined : await loadTrainingResources(config, { onProgress: options.onProgress, signal });
  const resources = methodResources(config.method, loaded ? loaded.resources : trainingResources(options.resources!));
  const { rows } = resources;
  const state = createTrainingState(config, resources.network, adversarial === undefined ? undefined : resources.critic);
  const reference = config.velocity === "marginal" ? latentReference(rows.latents!, rows.labels) : undefined;
  const frozen: FrozenParts = { features: levelsOf(resources.perceptual), criticFeatures: levelsOf(resources.critic), reference };
  const step = trainingStep(config, state, frozen);
  let loadedTeacher: LoadedTeacher | undefined;
  let refined: LoadedTeacher | undefined;
  let drawPairs: PairDraw | undefined;
  let pairsNetworks: readonly string[] = [];
  let order: EpochBatches;
  let batches: BatchesAhead | undefined;
  let observer: { window: DiagnosticsWindow; probe: Probe } | undefined;
  let savedStep = -1;
  let earlier: EarlierTrainings = { lossNetworks: [], steps: 0 };
  let seconds = 0;
  // False while a step is under way: after a failure in it, weights and streams are those of no step and must not be saved.
  let betweenSteps = true;
  const save = async (): Promise<string> => {
    savedStep = state.step;
    return saveCheckpoint(run.checkpoints, state, { config, encoder: resources.encoderFingerprint, dataset: rows.fingerprint, order: batches?.position() ?? order.state(), seconds, earlierLossNetworks: earlier.lossNetworks, earlierSteps: earlier.steps });
  };
  const trainingEnded = noteTraining(run, signal);
  try {
    const dealt = repeatedRows(rows, config.classRepeats);
    frozen.lossClasses = Object.fromEntries(Object.entries(config.lossClasses).map(([loss, names]) => [loss, classLabels(`lossClasses of "${loss}"`, names, rows)]));
    order = epochBatches(dealt, { batchSize: config.batchSize, stream: randomStream(config.seed, "data order"), horizontalFlip: config.horizontalFlip });
    if (isTaught(config)) {
      loadedTeacher = await loadTeacher(config, resources);
      frozen.teacher = loadedTeacher.teacher;
    }
    if (config.endTarget === "distribution" || config.endTarget === "refinement") {
      if (!loadedTeacher!.flow) throw new Error(`endTarget "${config.endTarget}" needs a teacher of the method "latent-flow", and ${config.teacherModel} is another: train one (train --set method=latent-flow), or set endTarget to "distillation"`);
      frozen.latentsOf = (images) => resources.encoder!.encode(images);
    }
    if (config.endTarget === "distribution") addSampleFlow(config, state, loadedTeacher!.flow!);
    if (isRefined(config)) {
      refined = await loadTeacher({ teacherModel: config.initialModel, initialModel: "" }, resources);
      const [asked, instead] = config.endTarget === "refinement" ? ['endTarget "refinement"', 'endTarget to "distillation"'] : ["refinedShare", "refinedShare to 0"];
      if (refined.flow) throw new Error(`${asked} refines the one-step images of a CrossFlow network, and ${config.initialModel} is a latent flow: choose another initial model, or set ${instead}`);
      frozen.oneStep = refined.teacher.imageOf;
    }
    if (config.endTarget === "reconstruction") {
      if (loadedTeacher!.flow) throw new Error(`endTarget "reconstruction" learns from the one-step images of a CrossFlow network, and ${config.teacherModel || config.initialModel} is a latent flow: choose another, or set endTarget to "distillation"`);
      frozen.throughAutoencoder = (images) => tf.tidy(() => resources.encoder!.decode(resources.encoder!.encode(images)));
    }
    if (config.endTarget === "pairs") {
      const pairs = await readPairs(config.pairsFile, { ...resources.network, classNames: rows.classes, encoderFingerprint: resources.encoderFingerprint });
      drawPairs = pairDraw(pairs);
      pairsNetworks = pairs.lossNetworks;
    }
    if (checkpoint) {
      const record = await restoreCheckpoint(checkpoint, state);
      if (record.encoder !== resources.encoderFingerprint || record.dataset !== rows.fingerprint) throw new Error(`run "${config.name}" was trained on other data or with another encoder: it can not go on with these`);
      order.restore(record.order);
      savedStep = state.step;
      seconds = record.seconds;
      earlier = { lossNetworks: record.earlierLossNetworks ?? [], steps: record.earlierSteps ?? 0 };
    } else if (config.initialModel !== "") earlier = await startFromModel(config.initialModel, state, config.seed);
    earlier.lossNetworks = [...new Set([...earlier.lossNetworks, ...(loadedTeacher?.lossNetworks ?? []), ...pairsNetworks])];
    const lossNetworks = networksOfLosses(config, earlier.lossNetworks);
    const averaged = (): Model => averagedModel(config, state, resources, { seconds, lossNetworks, earlierSteps: earlier.steps });
    await openRun(config, found);
    const snapshotWhenDue = async (): Promise<void> => {
      const due = config.snapshotEvery > 0 && state.step > 0 && (state.step === config.steps || state.step % config.snapshotEvery === 0);
      if (due && !hasSnapshot(run.snapshots, state.step)) await saveSnapshot(run.snapshots, state, averaged(), config.snapshotPrecision);
    };
    // A training that was cut off between its checkpoint and its snapshot.
    await snapshotWhenDue();
    batches = batchesAhead(order, dealt);
    if (config.diagnosticsEvery > 0) observer = { window: createDiagnosticsWindow(config, readDiagnostics(run.diagnosticsFile)), probe: await createProbe(state.network, rows, config.seed) };
    options.onWeights?.(state.step, state.variables.parameters);
    const prepared = new Set<string>();
    const progress = createProgress({ label: "training", total: config.steps, done: state.step });
    while (state.step < config.steps) {
      const started = performance.now();
      betweenSteps = false;
      const active = lossNames.filter((name) => state.step >= (config.lossStart[name] ?? 0));
      const criticLearns = adversarial !== undefined && state.step >= (config.lossStart[adversarial] ?? 0) - config.criticLead;
      const inputs = stepInputs(config, state, await batches.next(), active, criticLearns, state.streams, { drawPairs });
      const { statics } = inputs;
      const ready = performance.now();
      const program = JSON.stringify(statics);
      let compileSeconds = 0;
      if (config.compile && !prepared.has(program)) {
        await inStep(state.step + 1, () => prepareStep(step, config, state, rows, active, criticLearns, drawPairs, options.onProgress));
        prepared.add(program);
        compileSeconds = (performance.now() - ready) / 1000;
      }
      const last = state.step + 1 === config.steps;
      const diagnosed = observer !== undefined && (last || (state.step + 1) % config.diagnosticsEvery === 0);
      const before = diagnosed ? copyOfValues(state.variables.parameters) : undefined;
      const outputs = await inStep(state.step + 1, () => step(inputs.tensors, statics));
      const { values, samples } = fetched(outputs);
      tf.dispose([inputs.tensors, outputs]);
      assertFinite(values, active, state.step + 1);
      state.step++;
      if (criticLearns) state.criticSteps++;
      betweenSteps = true;
      options.onWeights?.(state.step, state.variables.parameters);
      observer?.window.observe({
        step: state.step, r: inputs.times.r, t: inputs.times.t, residual: values.residual, gradientNorm: values.gradientNorm,
        norms: { gradient: samples[SAMPLE_OUTPUTS.gradient], residual: samples[SAMPLE_OUTPUTS.residual], derivative: samples[SAMPLE_OUTPUTS.derivative] },
        ...(criticLearns && { critic: { accuracy: values.criticAccuracy, gap: values.criticGap, loss: values.critic } }),
      });
      const diagnostics = before && observer?.window.close(observer.probe.measure(state.variables.parameters), updateToWeight(before, state.variables.parameters));
      const stepSeconds = (performance.now() - started) / 1000;
      seconds += stepSeconds;
      const { secondsLeft } = progress.advance();
      const event: StepEvent = {
        step: state.step,
        steps: config.steps,
        losses: { ...Object.fromEntries(active.map((name) => [name, values[name]])), ...(criticLearns ? { critic: values.critic } : {}), ...(values.sampleFlow === undefined ? {} : { sampleFlow: values.sampleFlow }) },
        total: values.total,
        gradientNorm: values.gradientNorm,
        residual: values.residual,
        learningRate: inputs.learningRate,
        seconds: stepSeconds,
        dataSeconds: (ready - started) / 1000,
        waitShare: (ready - started) / 1000 / (stepSeconds - compileSeconds),
        elapsedSeconds: seconds,
        secondsLeft,
        lossNetworks,
      };
      // The networks are those of every step, and stand in the run's model: no line needs them.
      await appendMetrics(run.metricsFile, { ...event, lossNetworks: undefined });
      if (diagnostics) {
        await appendMetrics(run.diagnosticsFile, { ...diagnostics });
        event.diagnostics = diagnostics;
      }
      await snapshotWhenDue();
      if (last || state.step % config.checkpointEvery === 0) event.checkpoint = await save();
      if (last || (config.sampleEvery > 0 && state.step % config.sampleEvery === 0)) {
        event.samples = await sampleGrid(config, state, resources, options.samplesPerClass ?? 4);
        await writePicture(join(run.samples, `step-${String(state.step).padStart(8, "0")}.png`), imageGrid(event.samples.pixels, event.samples.imageSize, { columns: state.network.classes, scale: 2 }));
      }
      if (last) await saveModel(run.modelFile, averaged());
      yield event;
      await yieldToEventLoop();
      signal.throwIfAborted();
    }
  } finally {
    try {
      if (betweenSteps && savedStep !== state.step && state.step > 0) await save();
    } finally {
      step.dispose();
      observer?.probe.dispose();
      disposeTrainingState(state);
      if (reference) tf.dispose({ ...reference });
      loadedTeacher?.dispose();
      refined?.dispose();
      trainingEnded();
      await loaded?.dispose();
    }
  }
}

/** A network's features as a function, where there is one. */
function levelsOf(network: FeatureNetwork | undefined): FeatureLevels | undefined {
  return network && ((images) => network.features(images));
}

/** Compiles the step with made-up inputs before the first real one, so that every real step, of a new training or a resumed one, runs the same program. */
async function prepareStep(step: TrainingStep, config: TrainConfig, state: TrainingState, rows: TrainingRows, active: string[], criticLearns: boolean, drawPairs?: PairDraw, onProgress?: ProgressListener): Promise<void> {
  const label = "compiling the training step";
  const programs = step.programs().length;
  const started = performance.now();
  const unflipped = new Uint8Array(config.batchSize);
  const exampleRows = await Promise.all([0, 1].map((draw) => rows.read(Int32Array.from({ length: config.batchSize }, (_, index) => (index + draw) % rows.size), unflipped)));
  const examples = exampleRows.map((example, draw) => {
    const streams = Object.fromEntries(Object.keys(state.streams).map((name) => [name, randomStream(config.seed, `example ${draw} ${name}`)])) as Record<StreamName, RandomStream>;
    return stepInputs(config, { ...state, step: state.step + draw, criticSteps: state.criticSteps + draw }, example, active, criticLearns, streams, { drawPairs, rateScale: draw + 1 });
  });
  try {
    onProgress?.({ label, done: 0, total: 1, elapsedSeconds: 0, secondsLeft: undefined });
    step.prepare(examples[0].tensors, examples[1].tensors, examples[0].statics);
  } finally {
    tf.dispose(examples.map(({ tensors }) => tensors));
  }
  if (step.programs().length > programs) onProgress?.({ label, done: 1, total: 1, elapsedSeconds: (performance.now() - started) / 1000, secondsLeft: 0 });
}

/** Share of its weight at which a loss counts in a step. */
function lossShare(config: TrainConfig, name: string, step: number): number {
  const rampSteps = config.lossRampSteps[name] ?? (name.startsWith("adversarial") ? config.adversarialRamp : 0);
  return lossShareAt(step, { start: config.lossStart[name] ?? 0, rampSteps, ramp: config.lossRamp[name] ?? "linear" });
}

/** The numbers of a step on the host: scalars, and those with a number for each sample. */
function fetched(outputs: Record<string, tf.Tensor>): { values: Record<string, number>; samples: Record<string, Float32Array> } {
  const read = Object.entries(outputs).map(([name, tensor]) => ({ name, scalar: tensor.rank === 0, data: tensor.dataSync() as Float32Array }));
  return {
    values: Object.fromEntries(read.filter(({ scalar }) => scalar).map(({ name, data }) => [name, data[0]])),
    samples: Object.fromEntries(read.filter(({ scalar }) => !scalar).map(({ name, data }) => [name, data])),
  };
}

interface PreparedInputs {
  tensors: StepInputs;
  /** r and t of the batch, on the host. */
  times: { r: Float32Array; t: Float32Array };
  statics: { atEnd: number; offDiagonal: number; active: string; critic: boolean };
  learningRate: number;
}

interface InputOptions {
  /** Where samples with r = 0 learn from pairs. */
  drawPairs?: PairDraw;
  /** Multiplies the rates; only the examples that are compiled with use it. */
  rateScale?: number;
}

/** Draws all that one step is given anew. */
function stepInputs(config: TrainConfig, state: Pick<TrainingState, "step" | "criticSteps" | "network">, rows: Rows, active: string[], criticLearns: boolean, streams: Record<StreamName, RandomStream>, { drawPairs, rateScale = 1 }: InputOptions = {}): PreparedInputs {
  const { batchSize, accumulation } = config;
  const { latents, labels } = rows;
  const { latentSize, latentChannels, imageSize } = state.network;
  const latentShape: [number, number, number, number] = [batchSize, latentSize, latentSize, latentChannels];
  const latentLength = latentSize * latentSize * latentChannels;
  const timeOptions = { ...config, timeShift: resolvedTimeShift(config, latentLength) };
  const times = Array.from({ length: accumulation }, () => sampleTimes(streams.times, batchSize / accumulation, timeOptions));
  const joined = (key: "r" | "t"): Float32Array => Float32Array.from(times.flatMap((part) => Array.from(part[key])));
  // While the flow of the samples leads, network and critic wait: their schedule begins after it.
  const lead = config.endTarget === "distribution" ? config.sampleFlowLead : 0;
  const scheduled = learningRateAt(Math.max(state.step - lead, 0), { warmupSteps: config.warmupSteps, steps: config.steps - lead, finalShare: config.finalRateShare }) * rateScale;
  const leads = state.step < lead;
  const share = leads ? 0 : scheduled;
  const [r, t] = [joined("r"), joined("t")];
  // Not the network's imageSize, which is the latent's for a method whose network ends in latents.
  const side = Math.sqrt(rows.images.length / batchSize / 3);
  const eps = streams.noise.normal(latents.length);
  const pairImages = drawPairs && new Float32Array(rows.images.length);
  if (drawPairs) {
    const { atEnd } = times[0];
    const ofEnd = Array.from({ length: accumulation }, (_, part) => Array.from({ length: atEnd }, (_, row) => (part * batchSize) / accumulation + row)).flat();
    drawPairs(ofEnd, labels, eps, pairImages!, streams.noise);
    for (const row of ofEnd) t[row] = 1;
  }
  // Drawn only where they count, so that the other trainings keep their streams.
  const shareOfT = config.endTarget === "consistency" ? streams.times.uniform(batchSize).map((u) => EARLIER_SHARE.least + (EARLIER_SHARE.most - EARLIER_SHARE.least) * u) : undefined;
  const tensors: StepInputs = {
    x0: tf.tensor4d(rows.images, [batchSize, side, side, 3]),
    y: tf.tensor1d(labels, "int32"),
    z: tf.tensor4d(latents, latentShape),
    eps: tf.tensor4d(eps, latentShape),
    r: tf.tensor1d(r),
    t: tf.tensor1d(t),
    earlier: tf.tensor1d(shareOfT ? t.map((time, index) => time * shareOfT[index]) : t),
    learningRate: tf.scalar(config.learningRate * share),
    matrixLearningRate: tf.scalar(config.matrixLearningRate * share),
    stepCount: tf.scalar(state.step + 1),
    emaDecay: tf.scalar(emaDecayAt(state.step, config) / rateScale),
    lossShares: tf.tensor1d(active.map((name) => lossShare(config, name, state.step))),
  };
  if (pairImages) {
    const pairInputs: PairInputs = { pairImages: tf.tensor4d(pairImages, [batchSize, side, side, 3]) };
    Object.assign(tensors, pairInputs);
  }
  if (config.snapshotEvery > 0) {
    const snapshotInputs: SnapshotInputs = { snapshotDecays: tf.tensor1d(SNAPSHOT_SPREADS.map((spread) => powerDecayAt(state.step, spread) / rateScale)) };
    Object.assign(tensors, snapshotInputs);
  }
  if (config.endTarget === "distribution") {
    const sampleFlowShare = config.sampleFlowRate * (leads ? rateScale : scheduled);
    const matchingInputs: MatchingInputs = {
      matchingTimes: tf.tensor2d(streams.times.uniform(batchSize * MATCHING_DRAWS).map((u) => MATCHING_TIMES.least + (MATCHING_TIMES.most - MATCHING_TIMES.least) * u), [batchSize, MATCHING_DRAWS]),
      matchingNoise: tf.tensor4d(streams.noise.normal(latents.length * MATCHING_DRAWS), [batchSize, latentSize, latentSize, latentChannels * MATCHING_DRAWS]),
      sampleFlowLearningRate: tf.scalar(config.learningRate * sampleFlowShare),
      sampleFlowMatrixLearningRate: tf.scalar(config.matrixLearningRate * sampleFlowShare),
    };
    Object.assign(tensors, matchingInputs);
  }
  if (criticLearns) {
    const criticInputs: CriticInputs = {
      ...drawAugmentation(augmentationsOf(config.criticAugmentation)!, streams.critic, batchSize, imageSize),
      penaltyNoise: tf.tensor4d(streams.critic.normal(batchSize * imageSize * imageSize * 3), [batchSize, imageSize, imageSize, 3]),
      criticLearningRate: tf.scalar(config.criticLearningRate * share),
      criticStepCount: tf.scalar(state.criticSteps + 1),
    };
    Object.assign(tensors, criticInputs);
  }
  const { atEnd, offDiagonal } = times[0];
  return { tensors, times: { r, t }, statics: { atEnd, offDiagonal, active: active.join(), critic: criticLearns }, learningRate: config.learningRate * share };
}

/** Adds the step to the message of a loss that is at fault. */
async function inStep<Result>(step: number, run: () => Result | Promise<Result>): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof LossError) throw new LossError(`${error.message} (step ${step})`, { cause: error.cause });
    throw error;
  }
}

/** @throws Error naming the loss that is no longer finite, or those whose gradient is not, and the step */
function assertFinite(values: Record<string, number>, active: string[], step: number): void {
  const [broken] = Object.entries(values).find(([, value]) => !Number.isFinite(value)) ?? [];
  if (!broken) return;
  const what = active.includes(broken) ? `loss "${broken}"` : broken === "critic" ? "the critic's loss" : broken === "gradientNorm" ? `the gradient of ${active.map((name) => `"${name}"`).join(" + ")}` : broken;
  throw new Error(`${what} became ${values[broken]} in step ${step}: lower the learning rates, or the weight of that loss. Nothing of this step is saved; the last checkpoint before it is whole`);
}

/** The options that name files. */
const NAMED_FILES = ["initialModel", "teacherModel", "guideModel", "decoderModel", "pairsFile"] as const satisfies readonly (keyof TrainConfig)[];

/** A model of the state's averaged weights; shares their tensors. @param notes what else its provenance tells */
function averagedModel(config: TrainConfig, state: TrainingState, resources: TrainingResources, { seconds = 0, ...notes }: { seconds?: number; lossNetworks?: string[]; earlierSteps?: number } = {}): Model {
  const files = Object.fromEntries(NAMED_FILES.map((key) => [key, portablePath(config[key])]));
  return {
    network: state.network,
    parameters: state.variables.average,
    classNames: [...resources.rows.classes],
    encoderFingerprint: resources.encoderFingerprint,
    minimumTime: config.minimumTime,
    provenance: { config: { ...config, ...files }, steps: state.step, seconds: Math.round(seconds), dataset: resources.rows.fingerprint, ...notes },
  };
}

async function sampleGrid(config: TrainConfig, state: TrainingState, resources: TrainingResources, perClass: number): Promise<NonNullable<StepEvent["samples"]>> {
  const { classes } = state.network;
  const labels = Array.from({ length: classes * perClass }, (_, index) => index % classes);
  // The weights change between grids and a grid is one batch: a graph of its own would not pay.
  const images = generateImages(averagedModel(config, state, resources), labels, { seed: config.seed, encoder: resources.encoder, compile: false });
  const imageSize = images.shape[1];
  const pixels = await imagesToPixels(images);
  images.dispose();
  return { pixels, count: labels.length, imageSize, labels };
}

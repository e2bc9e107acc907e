// The public surface, grouped as the walk goes: engine, data, encoder, trajectory, network, objective, losses, trainer, sampler, metrics.
export * from "./engine";
export { randomStream, type RandomStream } from "./random";
export { interruptSignal, InterruptedError } from "./interrupt";
export { createProgress, formatDuration, formatProgress, type LongRunOptions, type ProgressEvent } from "./progress";
export { projectRoot } from "./files";
export { openSafetensors, openShardedSafetensors, readSafetensors, writeSafetensors, type OpenSafetensors } from "./safetensors";
export { convertWeights, loadWeights } from "./weights/load";
export { PRETRAINED_NETWORKS, type PretrainedNetwork } from "./weights/networks";
export { hasWeights, weightsFiles, type WeightsFileRow } from "./weights/available";
export { openWeights, type WeightsFile } from "./weights/weights-file";

export * from "./data";

export { reconstructionPsnr } from "./encoder/quality";
export * from "./encoder";

export { followFlow, latentAt, perSample, sampleTimes, timeShiftFor, velocity, type TimeOptions, type Times } from "./trajectory";

export { latentReference, marginalVelocity, type LatentReference } from "./marginal-velocity";

export { distillationTarget, exchangedNoise, guidedVelocity, LATENT_FLOW, latentFlowTeacher, latentsAlongFlow, loadTeacher, type LoadedTeacher, oneStepOf, OWN_FLOW, ownFlowTeacher, reconstructionTarget, REFINEMENT_DEFAULTS, refinementTarget, type LatentsOf, type RefinementNoise, type RefinementOptions, type Teacher, type TeacherFiles, type TeacherSubject } from "./distillation";
export { distributionTarget, MATCHING_DRAWS, MATCHING_TIMES, matchedLatents, sampleFlowLoss, type Noising } from "./distribution-matching";
export { consistencyTarget, EARLIER_SHARE, latentsAtEarlierTimes, TRAJECTORY_STEPS } from "./consistency";
export { makePairs, pairDraw, readPairs, type PairDraw, type Pairs, type PairsOptions, type PairsSubject } from "./pairs";
export { networkConfig, PAPER_SETTINGS, PRESETS, resolveConfig, TRAIN_OPTIONS, type TrainConfig } from "./config";
export * from "./layers";
export { initializeParameters, network, parameterShapes, type NetworkConfig } from "./network";
export { memoryPlan, MEMORY_PLAN_DEFAULTS, summarize, SUMMARY_DEFAULTS, type LayerSummary, type MemoryPlan, type MemoryPlanOptions, type NetworkSummary, type SummaryOptions } from "./summary";

export { correctionFactor, fieldAlongTrajectory, objectiveTerms, reconstructionPrediction, residualOf, type FieldAlongTrajectory, type ImageField, type ObjectiveOptions, type ObjectiveTerms } from "./objective";

export { defineLoss, lossCatalogue, LossError, lossNamed, lossNames, type Loss, type LossDescription, type Terms } from "./losses";
export { adaptivelyWeighted } from "./losses/adaptive-weight";
export { ADVERSARIAL_LOSSES, adversarialLoss, criticLoss, gradientPenalty } from "./losses/adversarial";
export { balanced } from "./losses/balance";
export { absoluteError, DISTANCES, huber, pseudoHuber, squaredError } from "./losses/distances";
export { GATES } from "./losses/gates";
export { perceptualConsistencyLoss, perceptualLoss, type PerceptualLossOptions } from "./losses/perceptual";
export { pixelLoss, type PixelLossOptions } from "./losses/pixel";
export { REGION_WEIGHTS } from "./losses/region-weights";
export * from "./schedules";
export { featureCritic, featureCriticShapes, featureLevels, type FeatureCriticConfig } from "./critic-features";
export { augment, AUGMENTATIONS, augmentationsOf, drawAugmentation, type AugmentationDraws, type AugmentationName } from "./augmentation";
export { critic, criticShapes, translate, type CriticConfig } from "./critic";

export * from "./optimizer";
export { loadResources, disposeResources, encoderFor, type Resources } from "./resources";
export { train, type StepEvent, type TrainOptions } from "./trainer";
export { readDiagnostics, readMetrics, runPaths, type Run } from "./run";
export { collapseAlarms, createProbe, describeAlarm, REGION_COLUMNS, REGION_ROWS, type Alarm, type Diagnostics, type Probe, type ProbeResult, type RegionMap, type RegionMaps } from "./diagnostics";
export { latestCheckpoint, readCheckpointRecord } from "./checkpoint";

export { disposeModel, evaluateModel, loadModel, saveModel, trainedStepsOf, type Model } from "./model";
export { mixModels, type MixturePart } from "./mixture";
export { postHocModel, snapshotSteps, type PostHocModel, type PostHocOptions } from "./snapshots";
export { decode, sample, SAMPLE_DEFAULTS } from "./sampler";

export * from "./features";
export * from "./metrics";

export { generateImages, generateLatents, METHOD_NAMES, METHOD_SETTINGS, methodNamed, methodResources, type GenerateOptions, type Method, type MethodName } from "./baselines";
export * from "./comparison";
export * from "./oracle";

import type { TrainConfig } from "./config";
import { criticShapes, type CriticConfig } from "./critic";
import { PIXEL_CRITICS } from "./metrics/independence";
import { featureCriticShapes, featureLevels, type FeatureCriticConfig } from "./critic-features";
import { tf } from "./engine/tf";
import type { FeatureNetwork } from "./features/feature-network";
import { SNAPSHOT_SPREADS } from "./optimizer/post-hoc";
import type { Model } from "./model";
import { initializeParameters, parameterShapes, type NetworkConfig } from "./network";
import { randomStream, type RandomStream } from "./random";

type Variables = Record<string, tf.Variable>;

/** The streams from which a training draws, besides the order of its data; each has its own position in a checkpoint. */
export const STREAM_NAMES = ["noise", "times", "critic"] as const;
export type StreamName = (typeof STREAM_NAMES)[number];

/** The group of variables that holds the average of a relative spread for the snapshots. */
export const snapshotGroup = (spread: number): string => `average-${spread}`;

/** Everything that changes while training: weights, averages, optimiser state, random streams, the step count. */
export interface TrainingState {
  /** Optimiser steps done. */
  step: number;
  /** Optimiser steps in which the critic took part. */
  criticSteps: number;
  network: NetworkConfig;
  /** Of a critic that learns from pixels, and of one on frozen features: a training has one or the other, or none. */
  critic?: CriticConfig;
  featureCritic?: FeatureCriticConfig;
  /** Of the flow of the network's own samples, where their distribution is matched to a teacher's. */
  sampleFlow?: NetworkConfig;
  /** Groups of variables by name: parameters, average, first, second, those of the snapshots where the configuration wants some, critic, criticFirst, criticSecond where there is a critic,
   * and sampleFlow, sampleFlowFirst, sampleFlowSecond where there is a flow of the samples. */
  variables: Record<string, Variables>;
  streams: Record<StreamName, RandomStream>;
}

/** Whether Muon updates a parameter: matrices of the blocks and convolutions of the head, but the last layer; all else takes AdamW. */
export function takesMuon(name: string, shape: number[]): boolean {
  return (name.startsWith("blocks.") && shape.length === 2) || name === "head.tokens.weight" || (name.startsWith("head.stages.") && shape.length === 4);
}

/** The adversarial loss that a configuration weighs, if any. @throws Error when it weighs several: a training has one critic */
export function adversarialName(config: TrainConfig): string | undefined {
  const names = Object.keys(config.losses).filter((name) => name.startsWith("adversarial") && config.losses[name] > 0);
  if (names.length > 1) throw new Error(`a training has one critic, which can not serve ${names.join(" and ")}: give one of them a weight above 0`);
  return names[0];
}

const usesAdam = ({ optimizer }: Pick<TrainConfig, "optimizer">, name: string, shape: number[]): boolean => optimizer === "adamw" || !takesMuon(name, shape);

const zerosLike = (variables: Variables, keep: (name: string) => boolean = () => true): Variables =>
  Object.fromEntries(Object.entries(variables).filter(([name]) => keep(name)).map(([name, variable]) => [name, tf.tidy(() => tf.variable(tf.zerosLike(variable), false))]));

/**
 * Makes the state of a training that has not begun.
 * @param criticNetwork the frozen network that the configuration's critic stands on, where it stands on one
 * @returns the state; disposeTrainingState() frees it
 */
export function createTrainingState(config: TrainConfig, network: NetworkConfig, criticNetwork?: Pick<FeatureNetwork, "features">): TrainingState {
  const parameters = initializeParameters(parameterShapes(network), randomStream(config.seed, "weights"));
  const copyOf = (variables: Variables): Variables => Object.fromEntries(Object.entries(variables).map(([name, variable]) => [name, tf.tidy(() => tf.variable(tf.add(variable, 0), false))]));
  const state: TrainingState = {
    step: 0,
    criticSteps: 0,
    network,
    variables: {
      parameters, average: copyOf(parameters), first: zerosLike(parameters), second: zerosLike(parameters, (name) => usesAdam(config, name, parameters[name].shape)),
      ...(config.snapshotEvery > 0 && Object.fromEntries(SNAPSHOT_SPREADS.map((spread) => [snapshotGroup(spread), copyOf(parameters)]))),
    },
    streams: Object.fromEntries(STREAM_NAMES.map((name) => [name, randomStream(config.seed, name)])) as Record<StreamName, RandomStream>,
  };
  if (adversarialName(config)) {
    const { imageSize, classes } = network;
    const channels = config.criticChannels;
    if (criticNetwork) state.featureCritic = { levels: featureLevels(criticNetwork, imageSize), classes, channels };
    else if (PIXEL_CRITICS.includes(config.criticNetwork)) state.critic = { imageSize, classes, channels, local: config.criticNetwork === "local" };
    else throw new Error(`this training has no ${config.criticNetwork} for its critic to stand on: load it with loadResources(), or set criticNetwork to "pixels"`);
    const shapes = state.featureCritic ? featureCriticShapes(state.featureCritic) : criticShapes(state.critic!);
    const critic = initializeParameters(shapes, randomStream(config.seed, "critic weights"));
    Object.assign(state.variables, { critic, criticFirst: zerosLike(critic), criticSecond: zerosLike(critic) });
  }
  return state;
}

/** Adds the flow of the network's own samples to a state; it starts as a trained flow, the teacher's. */
export function addSampleFlow(config: Pick<TrainConfig, "optimizer">, state: TrainingState, { network, parameters }: Pick<Model, "network" | "parameters">): void {
  const sampleFlow = Object.fromEntries(Object.entries(parameters).map(([name, values]) => [name, tf.tidy(() => tf.variable(tf.add(values, 0)))]));
  state.sampleFlow = network;
  Object.assign(state.variables, { sampleFlow, sampleFlowFirst: zerosLike(sampleFlow), sampleFlowSecond: zerosLike(sampleFlow, (name) => usesAdam(config, name, sampleFlow[name].shape)) });
}

/** Frees all variables of a state. */
export function disposeTrainingState(state: TrainingState): void {
  tf.dispose(state.variables);
}

import { differences } from "./differences";
import { tf } from "./engine/tf";
import { lossNetworksOf } from "./metrics/independence";
import { trainedStepsOf, trainingMethodOf, type Model } from "./model";

/** A model and how much its weights count. */
export interface MixturePart {
  model: Model;
  /** Share of the mean, above 0. */
  share: number;
  /** What the model is called in the provenance, such as its file. */
  name: string;
}

/** In what models have to agree whose weights are to be averaged. */
const subjectOf = (model: Model): Record<string, unknown> => ({ method: trainingMethodOf(model), ...model.network, classNames: model.classNames, encoderFingerprint: model.encoderFingerprint });

/** How far the sum of the shares may be from 1. */
const TOLERANCE = 1e-6;

/**
 * The mean of several models' weights (Wortsman et al., 2022, "Model soups"). It makes sense of models that went on from the same one: between those the loss stays low, between
 * others it does not.
 * @param parts at least two, whose shares add up to 1
 * @returns a model with weights of its own, and all else the first one's; its provenance lists the parts
 * @throws RangeError when there are fewer than two, or shares do not add up to 1; Error when networks, classes, latents or methods differ
 */
export function mixModels(parts: readonly MixturePart[]): Model {
  if (parts.length < 2) throw new RangeError(`a mixture needs at least two models, not ${parts.length}`);
  const sum = parts.reduce((total, { share }) => total + share, 0);
  if (parts.some(({ share }) => !(share > 0)) || Math.abs(sum - 1) > TOLERANCE) throw new RangeError(`the shares of a mixture lie above 0 and add up to 1, not ${parts.map(({ share }) => share).join(" + ")} = ${Number(sum.toPrecision(6))}`);
  const [{ model: first, name }, ...others] = parts;
  for (const other of others) {
    const [there, here] = [subjectOf(other.model), subjectOf(first)];
    const differing = differences(there, here, [...new Set([...Object.keys(here), ...Object.keys(there)])]);
    if (differing !== "") throw new Error(`${other.name} can not be mixed with ${name}: ${differing}. Choose models that went on from the same one`);
  }
  const parameters = Object.fromEntries(Object.keys(first.parameters).map((key) => [key, tf.tidy(() => tf.addN(parts.map(({ model, share }) => tf.mul(share, model.parameters[key]))))]));
  const lossNetworks = [...new Set(parts.flatMap(({ model }) => lossNetworksOf(model)))];
  const mixture = parts.map(({ name, share, model }) => ({ name, share, steps: trainedStepsOf(model) }));
  return { ...first, parameters, provenance: { ...first.provenance, lossNetworks, mixture } };
}

import type { CompareOptions, Measure, Metric } from "../../src/model/comparison";
import { tf } from "../../src/model/engine/tf";
import { base, resources } from "../model/tiny-training";

const metrics: Metric[] = [{ name: "brightness", better: "higher", unit: "" }];
const { steps: _steps, batchSize: _batchSize, ...shared } = base;

/** Options of a comparison of two seeds whose trainings take milliseconds and are measured by the mean of four samples; `measured()` tells how often. */
export function brightnessComparison(steps: number): { options: Omit<CompareOptions, "comparisonsFolder">; measured: () => number } {
  let count = 0;
  const measure: Measure = async ({ generate, samples }) => {
    count++;
    return tf.tidy(() => ({ brightness: tf.mean(generate(new Int32Array(samples), 1)).dataSync()[0] }));
  };
  return { options: { seeds: 2, budget: { steps, batchSize: 4 }, base: { ...shared, compile: false }, samples: 4, resources, metrics, measure }, measured: () => count };
}

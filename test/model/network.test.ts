import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { jvp } from "../../src/model/engine/jvp";
import { tf } from "../../src/model/engine/tf";
import { network, parameterShapes, type NetworkConfig } from "../../src/model/network";
import { assertMatches, readGolden, unpack, unpackAll, type Packed } from "./golden";

interface Case {
  config: NetworkConfig;
  parameters: Record<string, Packed>;
  z: Packed;
  r: number[];
  y: number[];
  direction: Packed;
  pull: Packed;
  F: Packed;
  tangent: Packed;
  gradients: Record<string, Packed>;
}

const TOLERANCE = 2e-5; // of the largest number: float32 against double precision

for (const golden of readGolden<{ cases: Case[] }>("network").cases)
  describe(`the network with the ${golden.config.head} head${golden.config.tokensPerPatch ? ` and ${golden.config.tokensPerPatch} tokens a patch` : ""}, against PyTorch`, () => {
    const { config } = golden;
    const parameters = unpackAll(golden.parameters);
    const z = unpack(golden.z) as tf.Tensor4D;
    const [r, y] = [tf.tensor1d(golden.r), tf.tensor1d(golden.y, "int32")];
    const field = (weights: Record<string, tf.Tensor>, latents: tf.Tensor): tf.Tensor4D => network(config, weights, latents as tf.Tensor4D, r, y);

    it("has the same parameters", () => {
      const shapesOf = (entries: [string, { shape: number[] }][]): Record<string, number[]> => Object.fromEntries(entries.map(([name, { shape }]) => [name, shape]));
      assert.deepEqual(shapesOf(Object.entries(parameterShapes(config))), shapesOf(Object.entries(golden.parameters)));
    });

    it("gives the same images", () => assertMatches(field(parameters, z), golden.F, TOLERANCE, "F"));

    it("has the same gradient in every parameter and in the latents", () => {
      const names = Object.keys(parameters);
      const pull = unpack(golden.pull);
      const loss = (...tensors: tf.Tensor[]): tf.Tensor => tf.sum(tf.mul(field(Object.fromEntries(names.map((name, index) => [name, tensors[index]])), tensors[names.length]), pull));
      const gradients = tf.grads(loss)([...names.map((name) => parameters[name]), z]);
      [...names, "z"].forEach((name, index) => assertMatches(gradients[index], golden.gradients[name], TOLERANCE, `gradient in ${name}`));
    });

    it("has the same derivative along a direction in the latents", () => {
      const { tangent } = jvp((latents: tf.Tensor) => field(parameters, latents), [z], [unpack(golden.direction)]);
      assertMatches(tangent as tf.Tensor, golden.tangent, TOLERANCE, "dF/dz . v");
    });
  });

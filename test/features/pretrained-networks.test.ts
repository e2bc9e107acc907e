import assert from "node:assert/strict";
import { test } from "node:test";
import { tf } from "../../src/model/engine/tf";
import { DINO_VARIANTS, dinoWeights, loadDino, loadDinoOf, type DinoConfig } from "../../src/model/features/dino";
import { inceptionWeights, loadInception } from "../../src/model/features/inception";
import { loadLpips, lpipsHeadWeights, vgg16Weights } from "../../src/model/features/lpips";
import { loadWeights } from "../../src/model/weights/load";
import { assertClose, readGolden, seededFile, seededImages, type Sampled } from "../seeded-weights";

interface DinoCase {
  inputSize: number;
  middle: Sampled;
  embedding: Sampled;
  gradient: Sampled;
}

const golden = readGolden<{
  inception: { levels: Sampled[]; embedding: Sampled; logits: Sampled; gradient: Sampled };
  lpips: { distance: number[]; features: Sampled[]; gradient: Sampled };
} & Record<`dinov${2 | 3}-${"tiny" | "s" | "b"}`, DinoCase>>("pretrained-networks.json");

test("Inception-v3 equals torch-fidelity's: levels, embedding, logits, gradient", async () => {
  const images = seededImages("inception images 6", [1, 32, 32, 3]);
  const before = tf.memory().numTensors;
  const network = await loadInception({ resize: "tensorflow", path: seededFile(inceptionWeights()) });
  const loaded = tf.memory().numTensors;
  const levels = network.features(images);
  levels.forEach((level, index) => assertClose(level, golden.inception.levels[index], 1e-4, `level ${index}`));
  const [embedding, logits] = [network.embedding(images), network.logits(images)];
  assertClose(embedding, golden.inception.embedding, 1e-4, "embedding");
  assertClose(logits, golden.inception.logits, 1e-4, "logits");
  const gradient = tf.grad((x) => network.embedding(x as tf.Tensor4D).square().mean())(images);
  // Kinks of ReLU and of the poolings near an activation: PyTorch's own float32 gradient is 0.3 % off its float64 one here.
  assertClose(gradient, golden.inception.gradient, 1e-2, "gradient");
  tf.dispose([levels, embedding, logits, gradient]);
  assert.equal(tf.memory().numTensors, loaded);
  network.dispose();
  assert.equal(tf.memory().numTensors, before);
  images.dispose();
});

test("LPIPS on VGG16 equals its authors': distance, features, gradient", async () => {
  const images = seededImages("lpips images", [2, 48, 32, 3]);
  const references = seededImages("lpips references", [2, 48, 32, 3]);
  const before = tf.memory().numTensors;
  const network = await loadLpips({ path: seededFile(vgg16Weights()), headsPath: seededFile(lpipsHeadWeights()) });
  const loaded = tf.memory().numTensors;
  const [distance, itself, features] = [network.distance(images, references), network.distance(images, images), network.features(images)];
  distance.dataSync().forEach((value, i) => assert.ok(Math.abs(value - golden.lpips.distance[i]) < 1e-4 * Math.abs(golden.lpips.distance[i]), `${value}, expected ${golden.lpips.distance[i]}`));
  assert.deepEqual([...itself.dataSync()], [0, 0]);
  features.forEach((level, index) => assertClose(level, golden.lpips.features[index], 1e-4, `level ${index}`));
  const gradient = tf.grad((x) => network.distance(x as tf.Tensor4D, references).sum())(images);
  assertClose(gradient, golden.lpips.gradient, 1e-3, "gradient");
  tf.dispose([distance, itself, features, gradient]);
  assert.equal(tf.memory().numTensors, loaded);
  network.dispose();
  assert.equal(tf.memory().numTensors, before);
  tf.dispose([images, references]);
});

const TINY: Record<2 | 3, DinoConfig> = {
  2: { ...DINO_VARIANTS["dinov2-s"], width: 64, depth: 2, heads: 4, positionGrid: 5 },
  3: { ...DINO_VARIANTS["dinov3-s"], width: 64, depth: 2, heads: 4 },
};

for (const generation of [2, 3] as const) {
  for (const size of ["tiny", "s", "b"] as const) {
    test(`DINOv${generation} (${size}) equals transformers': patches, class token, gradient`, async () => {
      const expected = golden[`dinov${generation}-${size}`];
      const images = seededImages("dino images", [2, expected.inputSize, expected.inputSize, 3]);
      const before = tf.memory().numTensors;
      const config = size === "tiny" ? TINY[generation] : DINO_VARIANTS[`dinov${generation}-${size}`];
      const network = await loadDinoOf(`dinov${generation}-${size}`, config, [], { inputSize: expected.inputSize, blocks: [config.depth / 2], path: seededFile(dinoWeights(config)) });
      const loaded = tf.memory().numTensors;
      const [[middle], embedding] = [network.features(images), network.embedding(images)];
      assertClose(middle, expected.middle, 1e-4, "patches in the middle");
      assertClose(embedding, expected.embedding, 1e-4, "class token");
      const gradient = tf.grad((x) => network.embedding(x as tf.Tensor4D).pow(3).mean())(images);
      assertClose(gradient, expected.gradient, 1e-3, "gradient");
      tf.dispose([middle, embedding, gradient]);
      assert.equal(tf.memory().numTensors, loaded);
      network.dispose();
      assert.equal(tf.memory().numTensors, before);
      images.dispose();
    });
  }

  test(`DINOv${generation}: its authors' fused names give the parameters of transformers' names`, async () => {
    const wanted = dinoWeights(TINY[generation]);
    const own = seededFile(wanted);
    const facebook = wanted.dialects[1];
    const source = seededFile(wanted, facebook);
    // The authors' file: query, key and value joined along the outputs; a bias that transformers leaves out is zeros there.
    const parts = new Map(
      await Promise.all(
        Object.entries(facebook.parameters).map(async ([name, { from }]): Promise<[string, Float32Array]> => {
          const sources = [wanted.dialects[0].parameters[name].from].flat();
          const size = source.shapes[[from].flat()[0]!].reduce((product, side) => product * side, 1) / sources.length;
          const values = await Promise.all(sources.map((each) => (each === undefined ? new Float32Array(size) : own.read(each))));
          return [[from].flat()[0]!, Float32Array.from(values.flatMap((part) => [...part]))];
        }),
      ),
    );
    const shapes = { ...source.shapes, mask_token: [1, 64] };
    const [a, b] = [await loadWeights(wanted, own), await loadWeights(wanted, { ...source, shapes, read: async (name) => parts.get(name)! })];
    assert.deepEqual([a.dialect, b.dialect], ["transformers", "facebook"]);
    for (const [name, tensor] of Object.entries(a.parameters)) {
      assert.deepEqual(b.parameters[name].shape, tensor.shape, name);
      assert.deepEqual(b.parameters[name].dataSync(), tensor.dataSync(), name);
    }
    tf.dispose([a.parameters, b.parameters]);
  });
}

test("options out of range and missing files are clear errors", async () => {
  await assert.rejects(loadDino("dinov2-s", { inputSize: 225 }), /multiple of the patches' 14 pixels, not 225/);
  await assert.rejects(loadDino("dinov3-b", { blocks: [3, 13] }), /ascending whole numbers from 1 to 12/);
  await assert.rejects(loadDino("dinov3-b", { path: "/nowhere/model.safetensors" }), /dinov3-b weights not found: \/nowhere.*huggingface\.co\/facebook\/dinov3-vitb16.*DINOv3 License.*Download it/s);
  await assert.rejects(loadInception({ path: "/nowhere/i.pth" }), /pt_inception-2015-12-05-6726825d\.pth.*Apache.*or the file weights-inception/s);
});

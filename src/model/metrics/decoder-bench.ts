import type { Dataset } from "../data";
import type { Encoder } from "../encoder";
import { compile } from "../engine/compile";
import { sideBySide } from "../engine/side-by-side";
import { tf } from "../engine/tf";
import type { FeatureNetwork } from "../features/feature-network";
import { loadLpips, type Lpips } from "../features/lpips";
import { interruptSignal, yieldToEventLoop } from "../interrupt";
import { createProgress, type LongRunOptions } from "../progress";
import { randomStream } from "../random";
import { asSaved, datasetBatches, originOf } from "./feature-set";
import { frechetDistance } from "./frechet";
import { isIndependent } from "./independence";
import { psnr } from "./psnr";
import { ssim } from "./ssim";
import { accumulateStatistics, type FeatureOrigin, type FeatureStatistics } from "./statistics";

/** Something that turns latents into images: an autoencoder's own decoder, or F(z, r ~ 0, y). */
export interface BenchedDecoder {
  name: string;
  /** Gives the latents that it decodes. */
  encoder: Pick<Encoder, "encode">;
  /** @param latents [B, h, w, c], normalised @param labels int32 [B] @returns [B, H, W, 3], clipped to [-1, 1] here */
  decode(latents: tf.Tensor4D, labels: ArrayLike<number>): tf.Tensor4D;
  /** Latents of a generator of this decoder's latent space, normalised; without it there is no row for generated ones. @param seed of the batch */
  generate?(labels: ArrayLike<number>, seed: number): tf.Tensor4D;
  /** Pretrained networks that losses of its training used: what is measured in them is marked as not independent. */
  lossNetworks?: readonly string[];
}

/** One decoder on one kind of latents. */
export interface DecoderBenchRow {
  decoder: string;
  latents: "clean" | "moved" | "generated";
  /** Standard deviation of the noise that moved the latents, in units of the normalised latents; 0 for clean, NaN for generated ones. */
  deviation: number;
  images: number;
  /** Against the images that were encoded, decibel; undefined for generated latents. */
  psnr?: number;
  ssim?: number;
  /** Undefined for generated latents and without the network. */
  lpips?: number;
  /** Why there is no LPIPS: which file is missing, where it is published, and where to put it. */
  lpipsMissing?: string;
  /** To the images themselves, in the features of the network named next. */
  frechetDistance: number;
  features: string;
  /** Which of the row's measures were taken in a network that a loss of the decoder's training used. */
  notIndependent: ("lpips" | "frechetDistance")[];
  /** Of decoding alone, after a first batch that is not counted. */
  secondsPerImage: number;
  /** Largest memory that tensors took besides the weights while a batch was decoded operation by operation, over the batch; one compiled graph may take less. */
  peakBytesPerImage: number;
}

export interface DecoderBenchOptions extends LongRunOptions {
  /** Images of the data set that are used, the first ones. */
  count?: number;
  batchSize?: number;
  /** Deviations by which latents are moved off the data. */
  deviations?: readonly number[];
  /** Of the noise. */
  seed?: number;
  /** For the perceptual distance; by default it is loaded where its weights are there, and where not, the rows say which file to fetch. */
  lpips?: Lpips;
}

export const DECODER_BENCH_DEFAULTS = { count: 500, batchSize: 50, deviations: [0.1, 0.3, 1] as readonly number[], seed: 0 };

/**
 * Compares decoders on the same images: from their clean latents, from latents moved off the data by a known amount (the same noise for every decoder of
 * one latent shape), and from generated latents. PSNR, SSIM, LPIPS and the Frechet distance with marks of those that are no evidence, time and memory.
 * @param dataset held-out images
 * @param features in which the Frechet distance is measured
 * @returns a row for each decoder and kind of latents, in their order
 * @throws the signal's reason when aborted
 */
export async function decoderBench(decoders: readonly BenchedDecoder[], dataset: Dataset, features: FeatureNetwork, options: DecoderBenchOptions = {}): Promise<DecoderBenchRow[]> {
  const { onProgress, signal = interruptSignal(), lpips: ownLpips, ...given } = options;
  const settings = { ...DECODER_BENCH_DEFAULTS, ...given };
  const count = Math.min(settings.count, dataset.size);
  const kinds = (decoder: BenchedDecoder): Pick<DecoderBenchRow, "latents" | "deviation">[] => [
    { latents: "clean", deviation: 0 },
    ...settings.deviations.map((deviation) => ({ latents: "moved" as const, deviation })),
    ...(decoder.generate ? [{ latents: "generated" as const, deviation: NaN }] : []),
  ];
  const rows = decoders.flatMap((decoder) => kinds(decoder).map((kind) => ({ decoder, kind })));
  const progress = createProgress({ label: "comparing decoders", total: (rows.length + 1) * count, onUpdate: onProgress });
  const advance = async (images: number): Promise<void> => {
    progress.advance(images);
    signal.throwIfAborted();
    await yieldToEventLoop();
  };
  const embedding = compile(({ images }: { images: tf.Tensor4D }) => ({ embedding: sideBySide((part: tf.Tensor4D) => features.embedding(part), images) }), { name: `${features.name}'s embedding` });
  const measured: MeasuredFeatures = { name: features.name, size: features.embeddingSize, origin: originOf(features), embed: (images) => embedding({ images }).embedding };
  const lpips = ownLpips ?? (await loadLpips().catch((error: Error) => error));
  try {
    const real = await referenceStatistics(dataset, measured, count, settings.batchSize, advance);
    const results: DecoderBenchRow[] = [];
    for (const { decoder, kind } of rows) results.push(await benchOne(decoder, kind, dataset, measured, real, { ...settings, count, lpips }, advance));
    return results;
  } finally {
    embedding.dispose();
    if (!ownLpips && !(lpips instanceof Error)) lpips.dispose();
  }
}

/** The network as the bench uses it: its embedding as one compiled graph. */
interface MeasuredFeatures {
  name: string;
  size: number;
  origin: FeatureOrigin;
  embed(images: tf.Tensor4D): tf.Tensor2D;
}

async function referenceStatistics(dataset: Dataset, features: MeasuredFeatures, count: number, batchSize: number, advance: (images: number) => Promise<void>): Promise<FeatureStatistics> {
  const statistics = accumulateStatistics(features.size, features.origin);
  for (const { images, labels } of datasetBatches(dataset, { count, batchSize })) {
    const embedding = features.embed(images);
    await statistics.add(embedding);
    const size = images.shape[0];
    tf.dispose([images, labels, embedding]);
    await advance(size);
  }
  return statistics.finish();
}

async function benchOne(
  decoder: BenchedDecoder,
  kind: Pick<DecoderBenchRow, "latents" | "deviation">,
  dataset: Dataset,
  features: MeasuredFeatures,
  real: FeatureStatistics,
  { count, batchSize, seed, lpips }: { count: number; batchSize: number; seed: number; lpips: Lpips | Error },
  advance: (images: number) => Promise<void>,
): Promise<DecoderBenchRow> {
  const noise = randomStream(seed, "moved latents");
  const statistics = accumulateStatistics(features.size, features.origin);
  const sums = { psnr: 0, ssim: 0, lpips: 0 };
  let [timedSeconds, timedImages, peakBytes, batchIndex] = [0, 0, 0, 0];
  for (const batch of datasetBatches(dataset, { count, batchSize })) {
    const labels = (await batch.labels.data()) as Int32Array;
    const size = labels.length;
    const latents = latentsOf(decoder, kind, batch.images, labels, noise, seed + batchIndex);
    const decode = (): tf.Tensor4D => tf.tidy(() => tf.clipByValue(decoder.decode(latents, labels), -1, 1));
    if (batchIndex === 0) peakBytes = await peakBytesOf(decode);
    const started = performance.now();
    const decoded = decode();
    await decoded.data();
    // The first batch also pays for what the engine prepares once.
    if (batchIndex > 0 || count <= batchSize) [timedSeconds, timedImages] = [timedSeconds + (performance.now() - started) / 1000, timedImages + size];
    const saved = asSaved(decoded);
    const embedding = features.embed(saved);
    await statistics.add(embedding);
    if (kind.latents !== "generated") {
      for (const [name, measure] of [["psnr", psnr], ["ssim", ssim], ["lpips", lpips instanceof Error ? undefined : lpips.distance]] as const) {
        if (!measure) continue;
        const total = tf.tidy(() => measure(saved, batch.images).sum());
        sums[name] += (await total.data())[0];
        total.dispose();
      }
    }
    tf.dispose([batch.images, batch.labels, latents, decoded, saved, embedding]);
    batchIndex++;
    await advance(size);
  }
  const paired = kind.latents !== "generated";
  const measuredLpips = paired && !(lpips instanceof Error);
  const { lossNetworks = [] } = decoder;
  return {
    decoder: decoder.name,
    ...kind,
    images: count,
    ...(paired && { psnr: sums.psnr / count, ssim: sums.ssim / count }),
    ...(measuredLpips && { lpips: sums.lpips / count }),
    ...(lpips instanceof Error && { lpipsMissing: lpips.message }),
    frechetDistance: frechetDistance(statistics.finish(), real),
    features: features.name,
    notIndependent: [...(measuredLpips && !isIndependent(lpips.name, lossNetworks) ? ["lpips" as const] : []), ...(isIndependent(features.name, lossNetworks) ? [] : ["frechetDistance" as const])],
    secondsPerImage: timedSeconds / timedImages,
    peakBytesPerImage: peakBytes / Math.min(batchSize, count),
  };
}

function latentsOf(decoder: BenchedDecoder, { latents, deviation }: Pick<DecoderBenchRow, "latents" | "deviation">, images: tf.Tensor4D, labels: Int32Array, noise: ReturnType<typeof randomStream>, seed: number): tf.Tensor4D {
  if (latents === "generated") return decoder.generate!(labels, seed);
  return tf.tidy(() => {
    const clean = decoder.encoder.encode(images);
    return deviation === 0 ? clean : clean.add(tf.tensor4d(noise.normal(clean.size), clean.shape).mul(deviation));
  });
}

/** Memory that tensors took at most while `run` worked, above what there was before. */
async function peakBytesOf(run: () => tf.Tensor): Promise<number> {
  const before = tf.memory().numBytes;
  const { peakBytes, result } = await tf.profile(run);
  tf.dispose(result);
  return Math.max(0, peakBytes - before);
}

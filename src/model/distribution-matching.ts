import type { LatentsOf, Teacher } from "./distillation";
import { tf } from "./engine/tf";
import { stopGradient } from "./layers";
import { latentAt, perSample, velocity } from "./trajectory";

/** Velocities [B, h, w, c] at latents [B, h, w, c], their times [B] above 0, and classes [B]. */
type VelocityAt = Teacher["velocityAt"];

/** Between which times samples are noised: near 0 both flows agree on all but the finest detail, near 1 on all but the mean. */
export const MATCHING_TIMES = { least: 0.02, most: 0.98 };

/** Noisy versions of each sample in a step. The first tell where it has to move (see matchingDraws), all but one teach the flow of the samples. */
export const MATCHING_DRAWS = 4;

/** Added to what the teacher misses of a sample, latents' deviations, so that a sample which it knows all but exactly does not fly off. */
const LEAST_MISSED = 0.02;

/** Where the samples are noised, and with what. */
export interface Noising {
  /** Times [B]. */
  time: tf.Tensor1D;
  /** Noise [B, h, w, c]. */
  noise: tf.Tensor4D;
}

/**
 * What samples have to become for their distribution to come nearer to a teacher's (distribution matching: Yin et al., 2024, "One-step Diffusion with Distribution Matching
 * Distillation"). A sample is noised; the teacher's flow and the flow of the samples themselves each say which latent they take it for, z_s - s v; their difference leads
 * from where samples are too many to where they are too few. Unlike distillation it does not say which noise makes which image, so one step needs not to average
 * where it can not tell. The difference is larger the more of the sample its noise hides; divided by what the teacher misses of the sample (their eq. 8), all times move samples about alike.
 * Which way a sample moves depends on its noise as well, the less so the more noisy versions are averaged.
 * @param z latents of the samples [B, h, w, c]
 * @param y class labels, int32 [B]
 * @param teacherAt velocity of the data
 * @param samplesAt velocity of the samples
 * @param noisings how the samples are noised, once or several times
 * @param matchingStep how far they move, in units of the mean of |z - (z_s - s v_teacher)|; 0 for the whole difference
 * @returns latents [B, h, w, c]
 */
export function matchedLatents(z: tf.Tensor4D, y: tf.Tensor1D, teacherAt: VelocityAt, samplesAt: VelocityAt, noisings: readonly Noising[], matchingStep = 0): tf.Tensor4D {
  return tf.tidy(() => {
    const repeated = <T extends tf.Tensor>(tensor: T): T => tf.concat(noisings.map(() => tensor) as tf.Tensor[], 0) as T; // [B, ..] -> [K B, ..]
    const [clean, classes, time, noise] = [repeated(z), repeated(y), tf.concat(noisings.map((each) => each.time)), tf.concat(noisings.map((each) => each.noise), 0)];
    const noisy = latentAt(clean, noise, time);
    const byTeacher = teacherAt(noisy, time, classes);
    const s = perSample(time);
    const difference = tf.mul(s, tf.sub(samplesAt(noisy, time, classes), byTeacher)); // of z_s - s v by the teacher and by the samples
    const missed = (): tf.Tensor => tf.mean(tf.abs(tf.sub(clean, tf.sub(noisy, tf.mul(s, byTeacher)))), [1, 2, 3], true); // [K B, 1, 1, 1]
    const moves = matchingStep === 0 ? difference : tf.mul(difference, tf.div(matchingStep, tf.add(missed(), LEAST_MISSED)));
    return tf.add(z, tf.mean(moves.reshape([noisings.length, ...z.shape]), 0)) as tf.Tensor4D;
  });
}

/**
 * The images that samples have to become: their latents as matchedLatents() moves them, made images of.
 * @param teacher the data's flow, and what makes images [B, H, W, 3] of latents
 * @param samplesAt velocity of the samples
 * @param latentsOf the encoder; it is given the samples clamped to [-1, 1]
 * @param images samples F(z_t, 0, y) [B, H, W, 3]
 * @param y class labels, int32 [B]
 * @param noisings see matchedLatents()
 * @param matchingStep see matchedLatents()
 * @returns the target [B, H, W, 3], and the latents of the samples as they are [B, h, w, c]
 */
export function distributionTarget(teacher: Pick<Teacher, "velocityAt" | "imageOf">, samplesAt: VelocityAt, latentsOf: LatentsOf, images: tf.Tensor4D, y: tf.Tensor1D, noisings: readonly Noising[], matchingStep = 0): { target: tf.Tensor4D; latents: tf.Tensor4D } {
  const latents = tf.tidy(() => latentsOf(tf.clipByValue(images, -1, 1)));
  const target = tf.tidy(() => teacher.imageOf(matchedLatents(latents, y, teacher.velocityAt, samplesAt, noisings, matchingStep), y));
  return { target, latents };
}

/**
 * What the flow of the samples is trained by: flow matching on their latents, mean (v(z_s, s, y) - (noise - z))^2.
 * @param samplesAt the velocity that learns
 * @param z latents of the samples [B, h, w, c]; no gradient flows into them
 * @param y class labels, int32 [B]
 * @returns a scalar
 */
export function sampleFlowLoss(samplesAt: VelocityAt, z: tf.Tensor4D, y: tf.Tensor1D, { time, noise }: Noising): tf.Scalar {
  const clean = stopGradient(z);
  return tf.mean(tf.square(tf.sub(samplesAt(latentAt(clean, noise, time), time, y), velocity(clean, noise)))) as tf.Scalar;
}

import { jvp } from "../engine/jvp";
import { tf } from "../engine/tf";
import { perSample } from "../trajectory";
import type { Method } from "./method";
import { alongInterval, firstOf, latentToLatent, padded } from "./shapes";

/**
 * MeanFlow between noise and latents (Geng et al., arXiv 2505.13447): the network learns the average velocity u(z_t, r, t) over [r, t], of which
 * u = v - (t - r) du/dt. One evaluation makes a latent, z = eps - u(eps, 0, 1), and the autoencoder's decoder the image. R = u - (v - (t - r) sg(du/dt)).
 * The network is told t - r alone, one of the published choices, so that it has CrossFlow's inputs; du/dt = J_z u . v + du/d(t - r).
 */
export const latentMeanFlow: Method = {
  space: "latent",
  network: latentToLatent,
  derivative(field, batch, offDiagonal) {
    if (offDiagonal === 0) return tf.zerosLike(batch.z);
    const { zT, v, interval } = alongInterval(batch);
    const head = <T extends tf.Tensor>(tensor: T): T => firstOf(tensor, offDiagonal);
    const [length, labels] = [head(interval), head(batch.y)];
    const { tangent } = jvp((point: tf.Tensor, span: tf.Tensor) => field(point as tf.Tensor4D, span as tf.Tensor1D, labels), [head(zT), length], [head(v), tf.onesLike(length)]);
    return padded(tangent as tf.Tensor4D, batch.z.shape[0]);
  },
  terms(field, batch, dFdt) {
    const { y, z } = batch;
    const { zT, v, interval } = alongInterval(batch);
    const F = field(zT, interval, y);
    const residual = tf.add(tf.sub(F, v), tf.mul(perSample(interval), dFdt)) as tf.Tensor4D;
    return { ...batch, x0: z, zT, v, F, dFdt, residual, xHat: F };
  },
  generate: (field, eps, y) => tf.tidy(() => tf.sub(eps, field(eps, tf.ones([eps.shape[0]]), y)) as tf.Tensor4D),
};

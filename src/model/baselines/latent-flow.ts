import { tf } from "../engine/tf";
import { latentAt, velocity } from "../trajectory";
import type { Method } from "./method";
import { latentToLatent } from "./shapes";

/**
 * Flow matching between noise and latents (Lipman et al., 2023; Liu et al., 2023): the network learns v(z_t, t, y) = E[eps - z | z_t, y] by the squared error, is sampled by
 * Heun's method in many steps from t = 1 to t = 0, and the autoencoder's decoder makes the image. R = v(z_t, t, y) - (eps - z), or, where the configuration's
 * velocity is "marginal", less the mean of eps - z over the training latents (Xu et al., 2023, "stable target field"): the same minimum with less noise in its gradient.
 */
export const latentFlow: Method = {
  space: "latent",
  network: latentToLatent,
  manySteps: true,
  derivative: (_, { z }) => tf.zerosLike(z),
  terms(field, batch, dFdt, along) {
    const { z, eps, t, y } = batch;
    const zT = latentAt(z, eps, t);
    const v = along ?? velocity(z, eps);
    const F = field(zT, t, y);
    return { ...batch, x0: z, zT, v, F, dFdt, residual: tf.sub(F, v), xHat: F };
  },
  generate(field, eps, y, steps) {
    const intervals = Math.max(1, Math.round(steps / 2)); // Heun's method takes two evaluations an interval
    const at = (time: number): tf.Tensor1D => tf.fill([eps.shape[0]], time);
    let z = eps;
    for (let interval = 0; interval < intervals; interval++) {
      const [from, to] = [1 - interval / intervals, 1 - (interval + 1) / intervals];
      z = tf.tidy(() => {
        const first = field(z, at(from), y);
        const ahead = tf.add(z, tf.mul(to - from, first)) as tf.Tensor4D;
        const second = field(ahead, at(to), y);
        return tf.add(z, tf.mul((to - from) / 2, tf.add(first, second))) as tf.Tensor4D;
      });
    }
    return z;
  },
};

import { jvp } from "../engine/jvp";
import { tf } from "../engine/tf";
import { perSample } from "../trajectory";
import type { Method } from "./method";
import { alongInterval, firstOf, padded, pixelToPixel } from "./shapes";

/**
 * MeanFlow between noise and images, with the image predicted ("pixel MeanFlow", Lu et al., 2026; the loss in v of "improved MeanFlow", Geng et al., arXiv 2512.02012): the network
 * gives x(z_t, t - r, y), from it the average velocity u = (z_t - x) / t, and V = u + (t - r) sg(du/dt) is drawn to v. R = V - v. One evaluation makes an image, x(eps, 1, y).
 */
export const pixelMeanFlow: Method = {
  space: "pixel",
  network: pixelToPixel,
  derivative(field, batch, offDiagonal) {
    if (offDiagonal === 0) return tf.zerosLike(batch.z);
    const { zT, v, interval } = alongInterval(batch);
    const head = <T extends tf.Tensor>(tensor: T): T => firstOf(tensor, offDiagonal);
    const [length, time, labels] = [head(interval), head(batch.t), head(batch.y)];
    const average = (point: tf.Tensor, span: tf.Tensor, end: tf.Tensor): tf.Tensor => tf.div(tf.sub(point, field(point as tf.Tensor4D, span as tf.Tensor1D, labels)), perSample(end as tf.Tensor1D));
    const { tangent } = jvp(average, [head(zT), length, time], [head(v), tf.onesLike(length), tf.onesLike(time)]);
    return padded(tangent as tf.Tensor4D, batch.z.shape[0]);
  },
  terms(field, batch, dFdt) {
    const { z, t, y } = batch;
    const { zT, v, interval } = alongInterval(batch);
    const F = field(zT, interval, y);
    const average = tf.div(tf.sub(zT, F), perSample(t));
    const residual = tf.sub(tf.add(average, tf.mul(perSample(interval), dFdt)), v) as tf.Tensor4D;
    return { ...batch, x0: z, zT, v, F, dFdt, residual, xHat: F };
  },
  generate: (field, eps, y) => field(eps, tf.ones([eps.shape[0]]), y),
};

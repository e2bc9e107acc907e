import { jvp } from "../engine/jvp";
import { tf } from "../engine/tf";
import { latentAt, perSample, velocity } from "../trajectory";
import type { Method } from "./method";
import { firstOf, padded, pixelToPixel } from "./shapes";

/**
 * MeanFlow between noise and images, with the image predicted ("pixel MeanFlow", Lu et al., 2026; the loss in v of "improved MeanFlow", Geng et al., arXiv 2512.02012): the network
 * gives x(z_t, t - r, y), from it the average velocity u = (z_t - x) / t, and V = u + (t - r) sg(du/dt) is drawn to v. R = V - v. One evaluation makes an image, x(eps, 1, y).
 */
export const pixelMeanFlow: Method = {
  space: "pixel",
  network: pixelToPixel,
  derivative(field, { z, eps, r, t, y }, offDiagonal) {
    if (offDiagonal === 0) return tf.zerosLike(z);
    const [zT, time] = [firstOf(latentAt(z, eps, t), offDiagonal), firstOf(t, offDiagonal)];
    const interval = firstOf(tf.sub(t, r), offDiagonal) as tf.Tensor1D;
    const labels = firstOf(y, offDiagonal);
    const average = (point: tf.Tensor, length: tf.Tensor, end: tf.Tensor): tf.Tensor => tf.div(tf.sub(point, field(point as tf.Tensor4D, length as tf.Tensor1D, labels)), perSample(end as tf.Tensor1D));
    const { tangent } = jvp(average, [zT, interval, time], [firstOf(velocity(z, eps), offDiagonal), tf.onesLike(interval), tf.onesLike(time)]);
    return padded(tangent as tf.Tensor4D, z.shape[0]);
  },
  terms(field, batch, dFdt) {
    const { z, eps, r, t, y } = batch;
    const zT = latentAt(z, eps, t);
    const v = velocity(z, eps);
    const interval = tf.sub(t, r) as tf.Tensor1D;
    const F = field(zT, interval, y);
    const average = tf.div(tf.sub(zT, F), perSample(t));
    const residual = tf.sub(tf.add(average, tf.mul(perSample(interval), dFdt)), v) as tf.Tensor4D;
    return { ...batch, x0: z, zT, v, F, dFdt, residual, xHat: F };
  },
  generate: (field, eps, y) => field(eps, tf.ones([eps.shape[0]]), y),
};

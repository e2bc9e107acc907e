import { tf } from "../engine/tf";
import type { Method } from "./method";

/**
 * A plain one-step GAN: the same network maps noise to an image, F(eps, 0, y), and learns from the critic alone. The residual plays no part, so no derivative is taken.
 */
export const gan: Method = { space: "latent", derivative: (_, { x0 }) => tf.zerosLike(x0) };

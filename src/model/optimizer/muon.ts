import { tf } from "../engine/tf";

export interface MuonOptions {
  /** Nesterov momentum. */
  momentum: number;
  /** Newton-Schulz iterations. */
  iterations: number;
  /** Decoupled. Noise in the gradient makes matrices grow without end, since every update has full rank: this bounds them. */
  weightDecay: number;
}

/** Jordan et al., 2024. */
export const MUON_DEFAULTS: MuonOptions = { momentum: 0.95, iterations: 5, weightDecay: 0.1 };

// Coefficients of the quintic whose iterates drive singular values into about [0.7, 1.2] fastest (Jordan et al., 2024).
const QUINTIC = [3.4445, -4.775, 2.0315] as const;

/**
 * Matrices with the same singular vectors and singular values near 1, by Newton-Schulz iterations.
 * @param matrices [..., rows, columns]
 * @returns [..., rows, columns]
 */
export function orthogonalize<T extends tf.Tensor>(matrices: T, iterations = MUON_DEFAULTS.iterations): T {
  return tf.tidy(() => {
    const [rows, columns] = matrices.shape.slice(-2);
    const tall = rows > columns;
    let x: tf.Tensor = tf.div(matrices, tf.add(tf.sqrt(tf.sum(tf.square(matrices), [-2, -1], true)), 1e-7));
    for (let iteration = 0; iteration < iterations; iteration++) {
      const gram = tf.matMul(x, x, tall, !tall); // [..., n, n], n the shorter side
      const polynomial = tf.add(tf.mul(QUINTIC[1], gram), tf.mul(QUINTIC[2], tf.matMul(gram, gram)));
      x = tf.add(tf.mul(QUINTIC[0], x), tall ? tf.matMul(x, polynomial) : tf.matMul(polynomial, x));
    }
    return x as T;
  });
}

/** A parameter that Muon updates, with its gradient and its running sum of gradients, which starts at zero; all of one shape. */
export interface MuonUpdate {
  variable: tf.Variable;
  gradient: tf.Tensor;
  velocity: tf.Variable;
}

/**
 * One Muon update in place: momentum, then a step along the nearest orthogonal matrix, scaled by sqrt(max(1, outputs / inputs)).
 * For matrices and convolutions; vectors, embeddings and the last layer take AdamW.
 * @param variable the parameter [inputs, outputs], or a convolution's [k, k, inputs, outputs], taken as a matrix of k k inputs rows
 * @param gradient of the same shape
 * @param velocity running sum of gradients, starts at zero
 * @param learningRate scalar
 */
export function muon(variable: tf.Variable, gradient: tf.Tensor, velocity: tf.Variable, learningRate: tf.Scalar, options: Partial<MuonOptions> = {}): void {
  muonTogether([{ variable, gradient, velocity }], learningRate, options);
}

/**
 * The same for several parameters of one shape: they are orthogonalised in one batch, in a fraction of the operations.
 * @throws Error naming the shapes when they differ
 */
export function muonTogether(updates: MuonUpdate[], learningRate: tf.Scalar, options: Partial<MuonOptions> = {}): void {
  const { momentum, iterations, weightDecay } = { ...MUON_DEFAULTS, ...options };
  const [{ variable: first }] = updates;
  const other = updates.find(({ variable }) => variable.shape.join() !== first.shape.join());
  if (other) throw new Error(`muonTogether takes parameters of one shape, not [${first.shape}] and [${other.variable.shape}]`);
  const outputs = first.shape[first.rank - 1]!;
  const inputs = first.size / outputs;
  tf.tidy(() => {
    const sums = updates.map(({ gradient, velocity }) => tf.add(tf.mul(velocity, momentum), gradient));
    const nesterov = updates.map(({ gradient }, index) => tf.add(gradient, tf.mul(sums[index], momentum)).reshape([1, inputs, outputs]));
    const directions = orthogonalize(nesterov.length === 1 ? nesterov[0] : tf.concat(nesterov, 0), iterations); // [K, inputs, outputs]
    const scaled = tf.mul(tf.mul(learningRate, Math.sqrt(Math.max(1, outputs / inputs))), directions);
    const steps = updates.length === 1 ? [scaled] : tf.split(scaled, updates.length, 0);
    updates.forEach(({ variable, velocity }, index) => {
      const decayed = weightDecay === 0 ? variable : tf.mul(variable, tf.sub(1, tf.mul(learningRate, weightDecay)));
      velocity.assign(sums[index]);
      variable.assign(tf.sub(decayed, steps[index].reshape(variable.shape)));
    });
  });
}

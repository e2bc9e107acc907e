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
 * The matrix with the same singular vectors and singular values near 1, by Newton-Schulz iterations.
 * @param matrix [rows, columns]
 * @returns [rows, columns]
 */
export function orthogonalize(matrix: tf.Tensor2D, iterations = MUON_DEFAULTS.iterations): tf.Tensor2D {
  return tf.tidy(() => {
    const tall = matrix.shape[0] > matrix.shape[1];
    const wide = tall ? tf.transpose(matrix) : matrix;
    let x = tf.div(wide, tf.add(tf.norm(wide), 1e-7)) as tf.Tensor2D;
    for (let iteration = 0; iteration < iterations; iteration++) {
      const gram = tf.matMul(x, x, false, true); // [rows, rows], the shorter side
      const polynomial = tf.add(tf.mul(QUINTIC[1], gram), tf.mul(QUINTIC[2], tf.matMul(gram, gram))) as tf.Tensor2D;
      x = tf.add(tf.mul(QUINTIC[0], x), tf.matMul(polynomial, x));
    }
    return tall ? (tf.transpose(x) as tf.Tensor2D) : x;
  });
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
  const { momentum, iterations, weightDecay } = { ...MUON_DEFAULTS, ...options };
  const outputs = variable.shape[variable.rank - 1]!;
  const inputs = variable.size / outputs;
  tf.tidy(() => {
    const sum = tf.add(tf.mul(velocity, momentum), gradient);
    const nesterov = tf.add(gradient, tf.mul(sum, momentum));
    const direction = orthogonalize(nesterov.reshape([inputs, outputs]), iterations).reshape(variable.shape);
    const decayed = weightDecay === 0 ? variable : tf.mul(variable, tf.sub(1, tf.mul(learningRate, weightDecay)));
    velocity.assign(sum);
    variable.assign(tf.sub(decayed, tf.mul(tf.mul(learningRate, Math.sqrt(Math.max(1, outputs / inputs))), direction)));
  });
}

// Child process of signals.test.ts: trains a linear map by matrix products, sends the first and the last loss to its parent
// and lives until the parent disconnects.
import { tf } from "../../src/model/engine/tf";

const STEPS = 150;
const SIZE = 256;

const target = tf.randomNormal([SIZE, SIZE], 0, 1, "float32", 1);
const inputs = tf.randomNormal([SIZE, SIZE], 0, 1, "float32", 2);
const weight = tf.variable(tf.zeros([SIZE, SIZE]));
const optimizer = tf.train.sgd(SIZE / 4);
const loss = (): tf.Scalar => tf.mean(tf.squaredDifference(tf.matMul(inputs, weight), tf.matMul(inputs, target)));

for (const signal of ["SIGUSR2", "SIGWINCH", "SIGCHLD"] as const) process.on(signal, () => {});
process.channel?.ref();
process.send?.("training");
const first = loss().dataSync()[0];
for (let step = 0; step < STEPS; step++) optimizer.minimize(loss);
process.send?.({ first, last: loss().dataSync()[0] });

"""One training step in JAX as one jitted function of the whole state, whose memory it takes over (donated)."""

import jax
import jax.numpy as np
import numpy

from jax_crossflow import critic, features, from_package, network, translate

QUINTIC = (3.4445, -4.775, 2.0315)


def takes_muon(name, weight):
    """Matrices of the blocks and convolutions of the head, but the last layer."""
    return (name.startswith("blocks.") and weight.ndim == 2) or name == "head.tokens.weight" or (name.startswith("head.stages.") and weight.ndim == 4)


def orthogonalize(x, iterations=5):
    """Newton-Schulz iterations on [n, rows, columns] with rows <= columns."""
    x = x / (np.linalg.norm(x, axis=(-2, -1), keepdims=True) + 1e-7)
    a, b, c = QUINTIC
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x


def muon(weights, gradients, velocities, rate, decay, momentum=0.95):
    """Nesterov momentum, then a step along the nearest orthogonal matrix; matrices of one shape are orthogonalised together."""
    sums = {name: velocities[name] * momentum + gradients[name] for name in weights}
    shapes = {}
    for name, weight in weights.items():
        outputs, inputs = weight.shape[-1], weight.size // weight.shape[-1]
        shapes.setdefault((min(inputs, outputs), max(inputs, outputs)), []).append((name, inputs, outputs))
    updated = {}
    for group in shapes.values():
        matrices = [(gradients[name] + sums[name] * momentum).reshape(inputs, outputs) for name, inputs, outputs in group]
        directions = orthogonalize(np.stack([matrix if inputs <= outputs else matrix.T for matrix, (_, inputs, outputs) in zip(matrices, group)]))
        for (name, inputs, outputs), direction in zip(group, directions):
            direction = (direction if inputs <= outputs else direction.T).reshape(weights[name].shape)
            updated[name] = weights[name] * (1 - rate * decay) - rate * max(1.0, outputs / inputs) ** 0.5 * direction
    return updated, sums


def adamw(weight, gradient, first, second, rate, count, beta1, beta2, decay, eps=1e-8):
    first = first * beta1 + gradient * (1 - beta1)
    second = second * beta2 + np.square(gradient) * (1 - beta2)
    direction = (first / (1 - beta1**count)) / (np.sqrt(second / (1 - beta2**count)) + eps)
    return weight * (1 - rate * decay) - rate * direction, first, second


def per_image(values):
    return values[:, None, None, None]


def balanced(images, batch_size, score):
    """The value of score(images), and a term whose gradient with respect to the images has a known mean norm."""
    value, gradient = jax.value_and_grad(score)(jax.lax.stop_gradient(images))
    norms = np.sqrt(np.sum(np.square(gradient), (1, 2, 3)))
    mean = np.sum(norms) / np.maximum(np.sum(norms > 0), 1)
    target = 2 / (images[0].size ** 0.5 * batch_size)
    return value, np.sum(images * jax.lax.stop_gradient(gradient * (target / (mean + 1e-12))))


def both(scores, each):
    return np.mean(each(scores[0])) + np.mean(each(scores[1]))


def gap(first, second):
    return first[0] - second[0], first[1] - second[1]


def huber(x, delta=1.0):
    size = np.abs(x)
    square = np.minimum(size, delta)
    return 0.5 * np.square(square) + delta * (size - square)


class TrainingStep:
    """The state of a training and one step of it."""

    def __init__(self, work):
        spec = work.spec
        self.config, self.statics, self.shape = spec["config"], spec["statics"], spec["network"]
        self.bf16 = spec.get("precision") == "bf16"
        self.frozen = {name: from_package(name, array) for name, array in work.group("features").items()}
        self.inputs = [{name: np.asarray(value) for name, value in arrays.items()} for arrays in work.step_inputs()]
        self.state = self.start(work)
        self.jitted = jax.jit(self.step, donate_argnums=0)
        self.next = 0

    def start(self, work):
        parameters = {name: np.asarray(value) for name, value in work.group("parameters").items()}
        zeros = lambda weights: {name: np.zeros_like(value) for name, value in weights.items()}
        state = {"parameters": parameters, "average": {name: np.array(value) for name, value in parameters.items()}, "first": zeros(parameters), "second": zeros(parameters)}
        if self.statics["critic"]:
            weights = {name: np.asarray(value) for name, value in work.group("critic").items()}
            state |= {"critic": weights, "criticFirst": zeros(weights), "criticSecond": zeros(weights)}
        return state

    def field(self, parameters, z, r, y):
        if not self.bf16:
            return network(self.shape, parameters, z, r, y)
        half = {name: weight.astype(np.bfloat16) for name, weight in parameters.items()}
        return network(self.shape, half, z.astype(np.bfloat16), r, y).astype(np.float32)

    def step(self, state, frozen, given):
        z, eps, r, t, y, x0 = (given[name] for name in ("z", "eps", "r", "t", "y", "x0"))
        config, losses, off, end = self.config, self.config["losses"], self.statics["offDiagonal"], self.statics["atEnd"]
        time = per_image(t)
        point, velocity = (1 - time) * z + time * eps, eps - z

        def along_trajectory(parameters):
            """F, and dF/dt as a constant for the off-diagonal samples, zero for the others. Each sample passes through the network once."""
            if off == 0:
                return self.field(parameters, point, r, y), np.zeros_like(x0)
            F, tangent = jax.jvp(lambda latents: self.field(parameters, latents, r[:off], y[:off]), (point[:off],), (velocity[:off],))
            if off < len(r):
                F = np.concatenate([F, self.field(parameters, point[off:], r[off:], y[off:])])
            return F, np.concatenate([jax.lax.stop_gradient(tangent), np.zeros_like(x0[off:])])

        def objective(parameters):
            F, derivative = along_trajectory(parameters)
            rImage = per_image(r)
            weighted = time * (rImage / np.square(time) * (F - x0) + (1 - rImage / time) * derivative)
            each = np.mean(np.square(F - jax.lax.stop_gradient(F - weighted)), (1, 2, 3))
            pixel = np.mean(each / np.sqrt(jax.lax.stop_gradient(each) + 1e-3))
            metrics = {"pixel": pixel, "residual": np.mean(np.abs(weighted))}
            total, pull = losses["pixel"] * pixel, losses["pixel"] * pixel
            if self.statics["critic"]:
                perceptual, perceptual_pull = self.perceptual(frozen, F, derivative, r, t, x0)
                adversarial, adversarial_pull = self.adversarial(state["critic"], F[:end], x0[:end], y[:end], given["shifts"], F.shape[0])
                share = losses["adversarial"] * given["lossShares"][list(losses).index("adversarial")]
                metrics |= {"perceptual": perceptual, "adversarial": adversarial}
                pull = pull + losses["perceptual"] * perceptual_pull + share * adversarial_pull
                total = total + losses["perceptual"] * perceptual + share * adversarial
            return pull, (metrics | {"total": total}, F)

        gradients, (metrics, F) = jax.grad(objective, has_aux=True)(state["parameters"])
        norm = np.sqrt(sum(np.sum(np.square(gradient)) for gradient in gradients.values()))
        factor = np.minimum(1, config["clipNorm"] / (norm + 1e-6))
        state = self.update(state, {name: gradient * factor for name, gradient in gradients.items()}, given)
        metrics["gradientNorm"] = norm
        if self.statics["critic"]:
            state, metrics["critic"] = self.update_critic(state, F[:end], x0[:end], y[:end], given)
        return state, metrics

    def perceptual(self, frozen, F, derivative, r, t, x0):
        batch = F.shape[0]
        part = slice(batch - min(16, batch), batch)
        factor = t * (t - r) / r
        usable = (r > 0) & (factor <= self.config["correctionLimit"])
        estimate = F[part] + per_image(np.where(usable, factor, 0)[part]) * derivative[part]
        target = features(frozen, x0[part])
        spread = [np.sqrt(np.var(level) + 1e-6) for level in target]

        def score(images):
            values = [np.mean(np.mean(huber(level / scale - wanted / scale), (1, 2, 3)) * usable[part]) for level, wanted, scale in zip(features(frozen, images), target, spread)]
            return sum(values) / len(values)

        return balanced(estimate, batch, score)

    @staticmethod
    def adversarial(weights, images, real, y, shifts, batch):
        score = critic(weights, translate(real, shifts), y)
        return balanced(images, batch, lambda fake: both(gap(score, critic(weights, translate(fake, shifts), y)), jax.nn.softplus))

    def update(self, state, gradients, given):
        parameters, first, second = (dict(state[group]) for group in ("parameters", "first", "second"))
        config = self.config
        matrices = {name: weight for name, weight in parameters.items() if config["optimizer"] == "muon" and takes_muon(name, weight)}
        updated, sums = muon(matrices, gradients, first, given["matrixLearningRate"], config["weightDecay"])
        for name, weight in state["parameters"].items():
            if name in matrices:
                parameters[name], first[name] = updated[name], sums[name]
            else:
                decay = config["weightDecay"] if weight.ndim > 1 else 0
                parameters[name], first[name], second[name] = adamw(weight, gradients[name], first[name], second[name], given["learningRate"], given["stepCount"], 0.9, 0.95, decay)
        decay = given["emaDecay"]
        average = {name: value * decay + parameters[name] * (1 - decay) for name, value in state["average"].items()}
        return state | {"parameters": parameters, "first": first, "second": second, "average": average}

    def update_critic(self, state, fake, real, y, given):
        """The relativistic loss with its penalty; all images go through the critic at once."""
        size, count = self.config["criticPenaltyStep"], real.shape[0]
        noise, shifts = size * given["penaltyNoise"][:count], np.tile(given["shifts"][:, :count], (1, 4))
        images = translate(np.concatenate([real, fake, real + noise, fake + noise]), shifts)

        def loss(weights):
            whole, patches = critic(weights, images, np.tile(y, 4))
            real_score, fake_score, real_moved, fake_moved = zip(np.split(whole, 4), np.split(patches, 4))
            change = lambda moved, score: both(gap(moved, score), lambda difference: np.square(difference / size))
            penalty = change(real_moved, real_score) + change(fake_moved, fake_score)
            return both(gap(fake_score, real_score), jax.nn.softplus) + self.config["criticPenalty"] * penalty

        value, gradients = jax.value_and_grad(loss)(state["critic"])
        groups = [dict(state[group]) for group in ("critic", "criticFirst", "criticSecond")]
        for name, gradient in gradients.items():
            update = adamw(groups[0][name], gradient, groups[1][name], groups[2][name], given["criticLearningRate"], given["criticStepCount"], 0.0, 0.99, 0.0)
            for group, values in zip(groups, update):
                group[name] = values
        return state | dict(zip(("critic", "criticFirst", "criticSecond"), groups)), value

    def once(self, state, given):
        state, metrics = self.jitted(state, self.frozen, given)
        return state, {name: value.item() for name, value in metrics.items()}

    def run(self):
        self.state, _ = self.once(self.state, self.inputs[self.next % len(self.inputs)])
        self.next += 1

    def check(self, work):
        self.state, metrics = self.start(work), []
        for given in self.inputs:
            self.state, values = self.once(self.state, given)
            metrics.append(values)
        groups = {group: {name: numpy.asarray(value) for name, value in self.state[group].items()} for group in ("parameters", "average", "critic") if group in self.state}
        return metrics, groups

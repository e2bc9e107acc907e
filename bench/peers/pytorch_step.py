"""One training step in PyTorch: the objective, its losses, clipping, Muon and AdamW, the average, the critic's own step."""

import torch
import torch.nn.functional as nn

from pytorch_crossflow import Features, Network, critic, from_package, to_package, translate, translations

QUINTIC = (3.4445, -4.775, 2.0315)


def takes_muon(name, weight):
    """Matrices of the blocks and convolutions of the head, but the last layer."""
    return (name.startswith("blocks.") and weight.dim() == 2) or name == "head.tokens.weight" or (name.startswith("head.stages.") and weight.dim() == 4)


def orthogonalize(x, iterations=5):
    """Newton-Schulz iterations on [..., rows, columns] with rows <= columns."""
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = QUINTIC
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x


class Muon:
    """Nesterov momentum, then a step along the nearest orthogonal matrix. Matrices of one shape are orthogonalised together."""

    def __init__(self, weights, velocities, weight_decay, momentum=0.95):
        self.momentum, self.weight_decay = momentum, weight_decay
        self.groups = {}
        for weight, velocity in zip(weights, velocities):
            outputs, inputs = weight.shape[0], weight[0].numel()
            key = (min(outputs, inputs), max(outputs, inputs))
            self.groups.setdefault(key, []).append((weight, velocity, outputs, inputs))

    @torch.no_grad()
    def step(self, gradients, rate):
        for group in self.groups.values():
            velocities = [velocity for _, velocity, _, _ in group]
            weights = [weight for weight, _, _, _ in group]
            given = [gradients[weight] for weight in weights]
            torch._foreach_mul_(velocities, self.momentum)
            torch._foreach_add_(velocities, given)
            nesterov = torch._foreach_add(given, velocities, alpha=self.momentum)
            wide = [each.reshape(outputs, inputs) if outputs <= inputs else each.reshape(outputs, inputs).t() for each, (_, _, outputs, inputs) in zip(nesterov, group)]
            directions = orthogonalize(torch.stack(wide)).unbind()
            if self.weight_decay:
                torch._foreach_mul_(weights, 1 - rate * self.weight_decay)
            for (weight, _, outputs, inputs), direction in zip(group, directions):
                scale = max(1.0, outputs / inputs) ** 0.5
                weight.sub_((direction if outputs <= inputs else direction.t()).reshape(weight.shape), alpha=rate * scale)


@torch.no_grad()
def adamw(weights, gradients, first, second, rate, count, beta1, beta2, decay, eps=1e-8):
    """AdamW on lists of tensors in PyTorch's one kernel, which takes it that all of a weight's tensors lie alike in memory."""
    if not weights:
        return
    gradients = [gradient if gradient.stride() == weight.stride() else torch.empty_like(weight).copy_(gradient) for weight, gradient in zip(weights, gradients)]
    steps = [torch.tensor(float(count) - 1) for _ in weights]
    torch._foreach_add_(steps, 1)
    torch._fused_adamw_(weights, gradients, first, second, [], steps, lr=rate, beta1=beta1, beta2=beta2, weight_decay=decay, eps=eps, amsgrad=False, maximize=False)


def per_image(values):
    return values[:, None, None, None]


def balanced(images, batch_size, score):
    """The value of score(images), and a term whose gradient with respect to the images has a known mean norm."""
    leaf = images.detach().requires_grad_()
    value = score(leaf)
    (gradient,) = torch.autograd.grad(value, leaf)
    norms = gradient.square().sum((1, 2, 3)).sqrt()
    mean = norms.sum() / (norms > 0).sum().clamp(min=1)
    target = 2 / (images[0].numel() ** 0.5 * batch_size)
    return value.detach(), (images * (gradient * (target / (mean + 1e-12)))).sum()


def both(scores, each):
    return each(scores[0]).mean() + each(scores[1]).mean()


def gap(first, second):
    return first[0] - second[0], first[1] - second[1]


class TrainingStep:
    """The state of a training and one step of it."""

    def __init__(self, work, variant):
        spec = work.spec
        self.config, self.statics = spec["config"], spec["statics"]
        self.network = Network(spec["network"])
        self.whole_batch = variant == "whole batch"
        self.two_evaluations = variant == "two evaluations"
        self.precision = spec.get("precision", "float32")
        load = lambda group: {name: from_package(name, array) for name, array in work.group(group).items()}
        self.parameters = {name: weight.requires_grad_() for name, weight in load("parameters").items()}
        zeros = lambda weights: {name: torch.zeros_like(weight, requires_grad=False) for name, weight in weights.items()}
        self.average = {name: torch.zeros_like(weight, requires_grad=False).copy_(weight.detach()) for name, weight in self.parameters.items()}
        self.first, self.second = zeros(self.parameters), zeros(self.parameters)
        uses_muon = lambda name: self.config["optimizer"] == "muon" and takes_muon(name, self.parameters[name])
        self.matrices = [name for name in self.parameters if uses_muon(name)]
        self.decayed = [name for name in self.parameters if not uses_muon(name) and self.parameters[name].dim() > 1]
        self.plain = [name for name in self.parameters if not uses_muon(name) and self.parameters[name].dim() <= 1]
        self.muon = Muon([self.parameters[name] for name in self.matrices], [self.first[name] for name in self.matrices], self.config["weightDecay"])
        self.critic_on = self.statics["critic"]
        if self.critic_on:
            self.critic = {name: weight.requires_grad_() for name, weight in load("critic").items()}
            self.critic_first, self.critic_second = zeros(self.critic), zeros(self.critic)
            self.features = Features(load("features"))
        self.inputs = [self.prepare(arrays) for arrays in work.step_inputs()]
        self.next = 0
        # What torch.compile makes faster: F and its derivative, the losses with their gradients, and what follows them.
        self.forms = {"field": self.along_trajectory, "pixel": self.pixel_loss, "balanced": self.balanced_terms, "critic": self.critic_loss, "muon": self.muon.step, "average": self.update_average}
        if variant == "compile":
            torch._dynamo.config.cache_size_limit = 64
            self.forms = {name: torch.compile(form, dynamic=False) for name, form in self.forms.items()}

    @staticmethod
    def prepare(arrays):
        values = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
        return {name: value.long() if name in ("y", "shifts") else value.item() if value.dim() == 0 else value for name, value in values.items()}

    def field(self, parameters, z, r, y, fused):
        if self.precision == "bf16":
            with torch.autocast("cpu", dtype=torch.bfloat16):
                return self.network(parameters, z, r, y, fused).float()
        return self.network(parameters, z, r, y, fused)

    def along_trajectory(self, z, velocity, r, y):
        """F with gradients, and dF/dt = J_z F . v as a constant for the off-diagonal samples, zero for the others. Each sample passes through the network once,
        or, with two evaluations, the off-diagonal ones a second time without gradients: then all of F comes from the one-kernel attention."""
        off = self.statics["offDiagonal"]
        if self.two_evaluations:
            F = self.field(self.parameters, z, r, y, fused=True)
            derivative = torch.zeros_like(F, requires_grad=False)
            if off > 0:
                with torch.no_grad():
                    derivative[:off] = torch.func.jvp(lambda latents: self.field(self.parameters, latents, r[:off], y[:off], fused=False), (z[:off],), (velocity[:off],))[1]
            return F, derivative
        F, derivative = [], []
        if off > 0:
            value, tangent = torch.func.jvp(lambda latents: self.field(self.parameters, latents, r[:off], y[:off], fused=False), (z[:off],), (velocity[:off],))
            F, derivative = [value], [tangent.detach()]
        if off < len(z):
            F.append(self.field(self.parameters, z[off:], r[off:], y[off:], fused=True))
            derivative.append(torch.zeros_like(F[-1], requires_grad=False))
        return torch.cat(F), torch.cat(derivative)

    @staticmethod
    def pixel_loss(F, r, t, x0, derivative):
        rImage, tImage = per_image(r), per_image(t)
        residual = rImage / tImage.square() * (F - x0) + (1 - rImage / tImage) * derivative
        weighted = tImage * residual
        error = F - (F - weighted).detach()
        each = error.square().mean((1, 2, 3))
        return (each / (each.detach() + 1e-3) ** 0.5).mean(), weighted.abs().mean().detach()

    def balanced_terms(self, F, derivative, r, t, x0, y, shifts):
        """Values of the perceptual and adversarial losses, and terms with their balanced gradients."""
        batch = F.shape[0]
        part = slice(batch - min(16, batch), batch)
        factor = t * (t - r) / r
        usable = (r > 0) & (factor <= self.config["correctionLimit"])
        estimate = F[part] + per_image(torch.where(usable, factor, torch.zeros_like(factor))[part]) * derivative[part]
        counted = usable[part].float()
        with torch.no_grad():
            target = self.features(x0[part])
            spread = [(level.var(correction=0) + 1e-6).sqrt() for level in target]

        def perceptual(images):
            values = []
            for level, wanted, scale in zip(self.features(images), target, spread):
                values.append((nn.huber_loss(level / scale, wanted / scale, reduction="none").mean((1, 2, 3)) * counted).mean())
            return sum(values) / len(values)

        end = self.statics["atEnd"]
        matrices = translations(shifts, *F.shape[1:3])
        with torch.no_grad():
            real = critic(self.critic, translate(x0[:end], matrices), y[:end])
        weights = {name: weight.detach() for name, weight in self.critic.items()}
        adversarial = lambda images: both(gap(real, critic(weights, translate(images, matrices), y[:end])), nn.softplus)
        return *balanced(estimate, batch, perceptual), *balanced(F[:end], batch, adversarial)

    def critic_loss(self, real, fake, y, noise, shifts):
        """The relativistic loss with its penalty; all images go through the critic at once."""
        size, count = self.config["criticPenaltyStep"], real.shape[0]
        matrices = [matrix[:count].repeat(4, 1, 1) for matrix in translations(shifts, *real.shape[1:3])]
        whole, patches = critic(self.critic, translate(torch.cat([real, fake, real + size * noise, fake + size * noise]), matrices), y.repeat(4))
        real_score, fake_score, real_moved, fake_moved = zip(whole.chunk(4), patches.chunk(4))
        loss = both(gap(fake_score, real_score), nn.softplus)
        penalty = both(gap(real_moved, real_score), lambda change: (change / size).square()) + both(gap(fake_moved, fake_score), lambda change: (change / size).square())
        return loss + self.config["criticPenalty"] * penalty

    def update_average(self, decay):
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), [weight.detach() for weight in self.parameters.values()], 1 - decay)

    def step(self, given):
        z, eps, r, t, y, x0 = (given[name] for name in ("z", "eps", "r", "t", "y", "x0"))
        time = per_image(t)
        point, velocity = (1 - time) * z + time * eps, eps - z
        losses = self.config["losses"]
        if self.whole_batch:
            F, derivative = torch.func.jvp(lambda latents: self.field(self.parameters, latents, r, y, fused=False), (point,), (velocity,))
            derivative = derivative.detach()
        else:
            F, derivative = self.forms["field"](point, velocity, r, y)
        pixel, residual = self.forms["pixel"](F, r, t, x0, derivative)
        metrics = {"pixel": pixel.detach(), "residual": residual}
        objective, total = losses["pixel"] * pixel, losses["pixel"] * pixel.detach()
        if self.critic_on:
            metrics["perceptual"], perceptual, metrics["adversarial"], adversarial = self.forms["balanced"](F, derivative, r, t, x0, y, given["shifts"])
            share = losses["adversarial"] * given["lossShares"][list(losses).index("adversarial")]
            objective = objective + losses["perceptual"] * perceptual + share * adversarial
            total = total + losses["perceptual"] * metrics["perceptual"] + share * metrics["adversarial"]
        metrics["total"] = total
        weights = list(self.parameters.values())
        gradients = torch.autograd.grad(objective, weights)
        norm = torch.stack(torch._foreach_norm(gradients)).norm()
        gradients = dict(zip(self.parameters, torch._foreach_mul(gradients, (self.config["clipNorm"] / (norm + 1e-6)).clamp(max=1))))
        metrics["gradientNorm"] = norm
        self.update_network(gradients, given)
        self.forms["average"](given["emaDecay"])
        if self.critic_on:
            end = self.statics["atEnd"]
            value = self.forms["critic"](x0[:end], F[:end].detach(), y[:end], given["penaltyNoise"][:end], given["shifts"])
            weights = list(self.critic.values())
            adamw([weight.detach() for weight in weights], torch.autograd.grad(value, weights), list(self.critic_first.values()), list(self.critic_second.values()), given["criticLearningRate"], given["criticStepCount"], 0.0, 0.99, 0.0)
            metrics["critic"] = value
        return {name: value.item() for name, value in metrics.items()}

    def update_network(self, gradients, given):
        for names, decay in ((self.decayed, self.config["weightDecay"]), (self.plain, 0.0)):
            pick = lambda tensors: [tensors[name].detach() for name in names]
            adamw(pick(self.parameters), pick(gradients), pick(self.first), pick(self.second), given["learningRate"], given["stepCount"], 0.9, 0.95, decay)
        if self.matrices:
            self.forms["muon"]({self.parameters[name]: gradients[name] for name in self.matrices}, given["matrixLearningRate"])

    def run(self):
        self.step(self.inputs[self.next % len(self.inputs)])
        self.next += 1

    @torch.no_grad()
    def restart(self, work):
        """Back to the weights of the work file and to an optimiser that has seen nothing."""
        for name, array in work.group("parameters").items():
            weight = from_package(name, array)
            self.parameters[name].copy_(weight)
            self.average[name].copy_(weight)
        for name, array in work.group("critic").items():
            self.critic[name].copy_(from_package(name, array))
        moments = [self.first, self.second, *((self.critic_first, self.critic_second) if self.critic_on else ())]
        for moment in (value for group in moments for value in group.values()):
            moment.zero_()

    def check(self, work):
        self.restart(work)
        metrics = [self.step(given) for given in self.inputs]
        export = lambda weights: {name: to_package(name, weight) for name, weight in weights.items()}
        groups = {"parameters": export(self.parameters), "average": export(self.average)}
        if self.critic_on:
            groups["critic"] = export(self.critic)
        return metrics, groups

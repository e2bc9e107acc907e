"""Makes losses.json: values and gradients of the pixel, perceptual and adversarial losses, of the critic's loss and of its gradient
penalty, by PyTorch's automatic differentiation of their formulas, in double precision.

Needs torch 2.13.0, numpy 2.4.6. Run: python losses.py
"""
import itertools
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as nn

from packing import all_packed, packed

torch.set_default_dtype(torch.float64)
random = np.random.default_rng(13)


def draw(*shape, scale=1.0):
    """Numbers that float32 holds exactly, so that both sides start from the same ones."""
    return torch.tensor((random.normal(size=shape) * scale).astype(np.float32).astype(np.float64))


R, T = torch.tensor([0.0, 0.125, 0.375, 0.625]), torch.tensor([0.75, 0.875, 0.5, 0.625])
image_wise = lambda numbers: numbers[:, None, None, None]


def huber(x, delta):
    return nn.huber_loss(x, torch.zeros_like(x), reduction="none", delta=delta)


# Pixel losses ---------------------------------------------------------------------------------------------------------------

prediction, target, derivative = draw(4, 2, 3, 3), draw(4, 2, 3, 3), draw(4, 2, 3, 3)
residual = lambda F: image_wise(R / T**2) * (F - target) + image_wise(1 - R / T) * derivative


def pixel_case(distance, weight, through, power):
    F = prediction.clone().requires_grad_()
    factor = {"none": torch.ones(4), "t": T, "t^2/r": torch.minimum(T**2 / R, torch.tensor(10.0))}[weight]
    error = image_wise(factor) * residual(F)
    if through == "prediction":
        error = F - (F - error).detach()
    each = {"L1": error.abs(), "L2": error**2, "Huber": huber(error, 0.1)}[distance]
    loss = each.mean((1, 2, 3))
    value = (loss / (loss.detach() + 1e-3) ** power).mean()
    value.backward()
    return {"options": {"distance": distance, "weight": weight, "through": through, "adaptivePower": power}, "value": value.item(), "gradient": packed(F.grad)}


pixel = {
    "F": packed(prediction), "x0": packed(target), "dFdt": packed(derivative), "r": R.tolist(), "t": T.tolist(),
    "cases": [pixel_case(*options) for options in itertools.product(["L1", "L2", "Huber"], ["none", "t", "t^2/r"], ["residual", "prediction"], [0, 0.5, 1])],
}

# Losses on pictures, whose gradient is rescaled --------------------------------------------------------------------------------


def balanced_gradient(value, images, batch):
    """The gradient that the images receive, with mean norm 2 / (sqrt(H W C) B) over the images that receive one."""
    (gradient,) = torch.autograd.grad(value, images)
    norms = gradient.flatten(1).norm(dim=1)
    return gradient * 2 / (images[0].numel() ** 0.5 * batch) / norms[norms > 0].mean()


def channels_first(x):
    return x.permute(0, 3, 1, 2)


maps = {"first": draw(3, 5), "second": draw(3, 4)}


def features(images):
    pooled = nn.avg_pool2d(channels_first(nn.silu(images @ maps["second"])), 2).permute(0, 2, 3, 1)
    return [torch.tanh(images @ maps["first"]), pooled]


x_hat, original = draw(4, 4, 6, 3), draw(4, 4, 6, 3)


def perceptual_case(delta, samples):
    """Compares the last `samples` of the batch, all where 0; those count whose factor t (t - r) / r is at most 1."""
    last = slice(-samples if samples else 0, None)
    images = x_hat.clone().requires_grad_()
    counts = ((R > 0) & (T * (T - R) / R <= 1)).double()[last]
    levels = []
    for made, wanted in zip(features(images[last]), features(original[last])):
        spread = torch.sqrt(wanted.var(correction=0) + 1e-6)
        levels.append((huber((made - wanted) / spread, delta).mean((1, 2, 3)) * counts).mean())
    value = torch.stack(levels).mean()
    return {"options": {"huberDelta": delta, "samples": samples}, "value": value.item(), "gradient": packed(balanced_gradient(value, images, len(x_hat)))}


perceptual = {"xHat": packed(x_hat), "x0": packed(original), "r": R.tolist(), "t": T.tolist(), "maps": all_packed(maps),
              "cases": [perceptual_case(1.0, 3), perceptual_case(0.3, 0)]}

# The critic --------------------------------------------------------------------------------------------------------------------

CRITIC = {"imageSize": 16, "classes": 2, "channels": 3}
CHANNELS = [2, 6, 12]  # at 16, 8 and 4 pixels

weights = {}
for stage, (source, width) in enumerate(zip([3, *CHANNELS], CHANNELS)):
    size = 4 if stage else 3
    weights[f"stages.{stage}.weight"] = draw(size, size, source, width, scale=(2 / (size * size * source)) ** 0.5)
    weights[f"stages.{stage}.bias"] = draw(width, scale=0.1)
weights["pooling"] = draw(1, 4, 4, CHANNELS[2], scale=0.25)
for head, width in [("patch", CHANNELS[1]), ("whole", CHANNELS[2])]:
    weights[f"{head}.weight"] = draw(width, 1, scale=width**-0.5)
    weights[f"{head}.bias"] = draw(1, scale=0.1)
    weights[f"{head}.classEmbedding"] = draw(CRITIC["classes"] + 1, width)


def critic(p, images, y):
    """Scores [B, 1] of the whole image and [B, 64] of its patches."""
    x, maps = channels_first(images), []
    for stage in range(len(CHANNELS)):
        weight = p[f"stages.{stage}.weight"].permute(3, 2, 0, 1)
        x = nn.leaky_relu(nn.conv2d(x, weight, p[f"stages.{stage}.bias"], stride=2 if stage else 1, padding=1), 0.2)
        maps.append(x.permute(0, 2, 3, 1))
    judge = lambda head, found: found @ p[f"{head}.weight"][:, 0] + p[f"{head}.bias"] + torch.einsum("bnc,bc->bn", found, p[f"{head}.classEmbedding"][y]) / found.shape[-1] ** 0.5
    return judge("whole", (maps[2] * p["pooling"]).sum((1, 2))[:, None]), judge("patch", maps[1].flatten(1, 2))


both = lambda scores, each: sum(each(score).mean() for score in scores)
gaps = lambda ours, theirs: [a - b for a, b in zip(ours, theirs)]
real, fake, noise, labels = draw(3, 16, 16, 3, scale=0.5), draw(3, 16, 16, 3, scale=0.5), draw(3, 16, 16, 3), torch.tensor([0, 1, 2])
BATCH, STEP = 8, 0.05  # images of the whole training batch, of which these three are one-step samples; length of the finite difference


def generator_case(kind):
    images = fake.clone().requires_grad_()
    on_fake, on_real = critic(weights, images, labels), critic(weights, real, labels)
    value = both(on_fake, lambda score: -score) if kind == "hinge" else both(gaps(on_real, on_fake), nn.softplus)
    return {"value": value.item(), "gradient": packed(balanced_gradient(value, images, BATCH))}


def critic_case(loss):
    p = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
    value = loss(p)
    value.backward()
    return {"value": value.item(), "gradients": all_packed({name: weight.grad for name, weight in p.items()})}


def hinge(p):
    return both(critic(p, real, labels), lambda score: nn.relu(1 - score)) + both(critic(p, fake, labels), lambda score: nn.relu(1 + score))


def relativistic(p):
    return both(gaps(critic(p, fake, labels), critic(p, real, labels)), nn.softplus)


def penalty(p):
    return both(gaps(critic(p, real + STEP * noise, labels), critic(p, real, labels)), lambda change: (change / STEP) ** 2)


adversarial = {
    "config": CRITIC, "weights": all_packed(weights), "batch": BATCH, "step": STEP, "real": packed(real), "fake": packed(fake), "noise": packed(noise), "y": labels.tolist(),
    "generator": {kind: generator_case(kind) for kind in ["hinge", "relativistic"]},
    "critic": {"hinge": critic_case(hinge), "relativistic": critic_case(relativistic), "penalty": critic_case(penalty)},
}

# The local critic --------------------------------------------------------------------------------------------------------------

LOCAL = {"imageSize": 16, "classes": 2, "channels": 4, "local": True}
STRIDES = [1, 2, 1, 1, 1]
local_weights = {}
for stage in range(len(STRIDES)):
    source = LOCAL["channels"] if stage else 3
    local_weights[f"stages.{stage}.weight"] = draw(3, 3, source, LOCAL["channels"], scale=(2 / (9 * source)) ** 0.5)
    local_weights[f"stages.{stage}.bias"] = draw(LOCAL["channels"], scale=0.1)
local_weights |= {"patch.weight": draw(LOCAL["channels"], 1, scale=0.5), "patch.bias": draw(1, scale=0.1), "patch.classEmbedding": draw(LOCAL["classes"] + 1, LOCAL["channels"])}


def local_critic(p, images, y):
    """Scores [B, 1] of the whole image, the mean of those [B, 64] of its places."""
    x = channels_first(images)
    for stage, stride in enumerate(STRIDES):
        padded = nn.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))  # "same" pads an even size at its end
        x = nn.leaky_relu(nn.conv2d(padded, p[f"stages.{stage}.weight"].permute(3, 2, 0, 1), p[f"stages.{stage}.bias"], stride=stride), 0.2)
    found = x.permute(0, 2, 3, 1).flatten(1, 2)
    patches = found @ p["patch.weight"][:, 0] + p["patch.bias"] + torch.einsum("bnc,bc->bn", found, p["patch.classEmbedding"][y]) / LOCAL["channels"] ** 0.5
    return patches.mean(1, keepdim=True), patches


local_leaves = {name: weight.clone().requires_grad_() for name, weight in local_weights.items()}
local_value = both(gaps(local_critic(local_leaves, fake, labels), local_critic(local_leaves, real, labels)), nn.softplus)
local_value.backward()
local = {"config": LOCAL, "weights": all_packed(local_weights), "value": local_value.item(), "gradients": all_packed({name: leaf.grad for name, leaf in local_leaves.items()})}

golden = {"pixel": pixel, "perceptual": perceptual, "adversarial": adversarial, "local": local}
pathlib.Path(__file__).with_name("losses.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")

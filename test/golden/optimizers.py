"""Makes optimizers.json: five steps of PyTorch's AdamW and Muon, its clipping, moving average and learning-rate schedule, in double precision.

Needs torch 2.13.0, numpy 2.4.6. Run: python optimizers.py
"""
import copy
import json
import pathlib

import numpy as np
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from torch.optim.swa_utils import get_ema_multi_avg_fn

from packing import all_packed, packed

torch.set_default_dtype(torch.float64)
random = np.random.default_rng(8)
STEPS = 5
# PyTorch's Muon rounds to bfloat16 on its way; without that it is the same formula in full precision.
torch.Tensor.bfloat16 = lambda tensor: tensor


def draw(*shape):
    return torch.tensor(random.normal(size=shape).astype(np.float32).astype(np.float64))


def run(make, start, gradients, rates):
    """The parameter after each step."""
    weight = start.clone().requires_grad_()
    optimizer = make([weight])
    history = []
    for gradient, rate in zip(gradients, rates):
        optimizer.param_groups[0]["lr"] = rate
        weight.grad = gradient.clone()
        optimizer.step()
        history.append(weight.detach().clone())
    return history


def adamw_case(betas, weight_decay):
    start, gradients, rates = draw(3, 4), [draw(3, 4) for _ in range(STEPS)], [0.01 * (step + 1) for step in range(STEPS)]
    history = run(lambda weights: torch.optim.AdamW(weights, betas=betas, eps=1e-8, weight_decay=weight_decay), start, gradients, rates)
    return {"options": {"beta1": betas[0], "beta2": betas[1], "weightDecay": weight_decay}, "start": packed(start), "rates": rates,
            "gradients": list(map(packed, gradients)), "weights": list(map(packed, history))}


def muon_case(inputs, outputs, weight_decay, momentum):
    """PyTorch's matrices are [outputs, inputs], the project's [inputs, outputs]."""
    start, gradients, rates = draw(outputs, inputs), [draw(outputs, inputs) for _ in range(STEPS)], [0.02 * (step + 1) for step in range(STEPS)]
    history = run(lambda weights: torch.optim.Muon(weights, weight_decay=weight_decay, momentum=momentum), start, gradients, rates)
    turned = lambda matrices: [packed(matrix.T.contiguous()) for matrix in matrices]
    return {"options": {"momentum": momentum, "weightDecay": weight_decay}, "start": turned([start])[0], "rates": rates,
            "gradients": turned(gradients), "weights": turned(history)}


def clipping_case(scale, limit):
    weights = {name: torch.zeros(shape, requires_grad=True) for name, shape in {"a": (3, 2), "b": (4,)}.items()}
    for weight in weights.values():
        weight.grad = draw(*weight.shape) * scale
    before = all_packed({name: weight.grad.clone() for name, weight in weights.items()})
    norm = torch.nn.utils.clip_grad_norm_(weights.values(), limit)
    return {"limit": limit, "before": before, "norm": norm.item(), "after": all_packed({name: weight.grad for name, weight in weights.items()})}


def average_case(decay):
    average, weights = draw(2, 3), [draw(2, 3) for _ in range(STEPS)]
    start = packed(average.clone())
    update = get_ema_multi_avg_fn(decay)
    for weight in weights:
        update([average], [weight], 0)
    return {"decay": decay, "start": start, "weights": [packed(weight) for weight in weights], "average": packed(average)}


def schedule_case(warmup, steps, final_share):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1)
    rise = LinearLR(optimizer, start_factor=1 / warmup, total_iters=warmup - 1)
    fall = CosineAnnealingLR(optimizer, T_max=steps - warmup, eta_min=final_share)
    schedule = SequentialLR(optimizer, [rise, fall], milestones=[warmup])
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return {"warmupSteps": warmup, "steps": steps, "finalShare": final_share, "rates": rates}


golden = {
    "adamw": [adamw_case((0.9, 0.95), 0.1), adamw_case((0.0, 0.99), 0), adamw_case((0.9, 0.999), 0.5)],
    "muon": [muon_case(6, 4, 0.1, 0.95), muon_case(3, 7, 0, 0.95), muon_case(5, 5, 0.3, 0.8)],
    "clipping": [clipping_case(3, 1), clipping_case(0.01, 1)],
    "average": [average_case(0.9)],
    "schedule": [schedule_case(4, 20, 0.1), schedule_case(1, 9, 0)],
}
pathlib.Path(__file__).with_name("optimizers.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")

"""Weights and images that Python and TypeScript (test/seeded-weights.ts) make alike from a name and a shape, so that networks of full width can be compared
without committing their weights: an integer hash of the name and the position, as a number in [-1, 1), scaled by what the tensor is for."""
import numpy as np
import torch

SAMPLES = 32


def uniform(name, count):
    """count float32 in [-1, 1): murmur3's finaliser of FNV-1a(name) + i * 0x9e3779b9, upper 24 bits."""
    seed = 0x811C9DC5
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x01000193) & 0xFFFFFFFF
    with np.errstate(over="ignore"):
        x = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B9) + np.uint32(seed)
        x ^= x >> np.uint32(16)
        x *= np.uint32(0x85EBCA6B)
        x ^= x >> np.uint32(13)
        x *= np.uint32(0xC2B2AE35)
        x ^= x >> np.uint32(16)
    return ((x >> np.uint32(8)).astype(np.float32) / np.float32(2**23)) - np.float32(1)


def scale_and_offset(name, shape):
    if name.endswith("running_var"):
        return 0.5, 1.0
    if name.endswith(("lambda1", "gamma")):
        return 0.2, 0.5
    if len(shape) == 1:
        return (0.2, 1.0) if name.endswith("weight") else (0.1, 0.0)
    if len(shape) == 3 and shape[0] == 1:
        return 0.5, 0.0
    return (6.0 / (int(np.prod(shape)) / shape[0])) ** 0.5, 0.0


def seeded(name, shape):
    scale, offset = scale_and_offset(name, shape)
    return torch.from_numpy(np.float32(offset) + np.float32(scale) * uniform(name, int(np.prod(shape)))).reshape(shape)


def seeded_images(name, shape):
    """NCHW in [-1, 1), drawn in NHWC order."""
    batch, channels, height, width = shape
    return torch.from_numpy(uniform(name, int(np.prod(shape)))).reshape(batch, height, width, channels).permute(0, 3, 1, 2).contiguous()


def fill(module, published=lambda name: name):
    """Fills a module's floating-point parameters and buffers by their published names; gives it back in float64, for inference."""
    state = module.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point():
            state[name] = seeded(published(name), tuple(tensor.shape))
    module.load_state_dict(state)
    return module.double().eval().requires_grad_(False)


def sampled(tensor):
    """Some values with their positions; NCHW tensors in NHWC order."""
    if tensor.dim() == 4:
        tensor = tensor.permute(0, 2, 3, 1)
    flat = tensor.detach().contiguous().reshape(-1).double()
    positions = np.random.default_rng(1).choice(flat.numel(), min(SAMPLES, flat.numel()), replace=False)
    return {
        "shape": list(tensor.shape),
        "norm": float(flat.norm()),
        "positions": positions.tolist(),
        "values": [float(f"{v:.8g}") for v in flat[positions].tolist()],
    }

"""Makes pretrained-networks.json: activations and gradients of Inception-v3 (FID variant), LPIPS on VGG16, DINOv2 and DINOv3, by the field's own
implementations, with seeded weights (seeded_weights.py).

Needs torch 2.13.0, numpy 2.4.6, torch-fidelity 0.4.0, lpips 0.1.4, transformers 5.23.0. Run: python pretrained_networks.py
(torchvision, which two of them import, is replaced by what they use of it: VGG16's layers.)
"""
import json
import pathlib
import re
import sys
import types
from unittest.mock import MagicMock

import torch
from torch import nn
from transformers import Dinov2Config, Dinov2Model, DINOv3ViTConfig, DINOv3ViTModel

from seeded_weights import fill, sampled, seeded, seeded_images


def vgg16(**_):
    layers, width = [], 3
    for item in (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"):
        if item == "M":
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(width, item, 3, padding=1), nn.ReLU()]
            width = item
    return types.SimpleNamespace(features=nn.Sequential(*layers))


class Stubs:
    """Modules of torchvision and of what else is imported but not used here."""

    NAMES = ("torchvision", "skimage", "matplotlib", "IPython", "cv2")

    def find_spec(self, name, path=None, target=None):
        import importlib.machinery

        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.split(".")[0] in self.NAMES else None

    def create_module(self, spec):
        module = MagicMock(name=spec.name)
        module.__path__, module.__spec__, module.vgg16 = [], spec, vgg16
        return module

    def exec_module(self, module):
        pass


sys.meta_path.append(Stubs())
import torchvision.models  # noqa: E402

sys.modules["torchvision"].models = sys.modules["torchvision.models"]
import lpips  # noqa: E402
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3  # noqa: E402
from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x  # noqa: E402

FOLDER = pathlib.Path(__file__).parent
golden = {"torch": torch.__version__}


def gradient(value, x):
    return sampled(torch.autograd.grad(value, x)[0])


# ---- Inception-v3

torch.load, load = lambda *_, **__: {name: tensor for name, tensor in FeatureExtractorInceptionV3.state.items()}, torch.load
initialise = FeatureExtractorInceptionV3.load_state_dict
FeatureExtractorInceptionV3.state = {}
FeatureExtractorInceptionV3.load_state_dict = lambda self, state: None
network = FeatureExtractorInceptionV3("inception", ["2048"], "none")
FeatureExtractorInceptionV3.load_state_dict, torch.load = initialise, load
fill(network)


def inception(images):
    x = interpolate_bilinear_2d_like_tensorflow1x((images + 1) * 127.5, size=(299, 299), align_corners=False)
    x = (x - 128) / 128
    n = network
    x = n.MaxPool_1(n.Conv2d_2b_3x3(n.Conv2d_2a_3x3(n.Conv2d_1a_3x3(x))))
    levels = [n.MaxPool_2(n.Conv2d_4a_3x3(n.Conv2d_3b_1x1(x)))]
    x = levels[0]
    for name in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a", "7b", "7c"):
        x = getattr(n, f"Mixed_{name}")(x)
        if name in ("6e", "7c"):
            levels.append(x)
    embedding = x.mean((2, 3))
    return levels, embedding, embedding @ n.fc.weight.T


# With this image no activation lies so near a kink that float32 and float64 gradients differ by more than 0.3 %; with most they differ by 1 to 5 %.
images = seeded_images("inception images 6", (1, 3, 32, 32)).double().requires_grad_()
levels, embedding, logits = inception(images)
golden["inception"] = {
    "levels": [sampled(level) for level in levels],
    "embedding": sampled(embedding),
    "logits": sampled(logits),
    "gradient": gradient(embedding.square().mean(), images),
}
print("inception done")

# ---- LPIPS

distance = lpips.LPIPS(pretrained=False, net="vgg", verbose=False)


def lpips_name(name):
    if name.startswith("net.slice"):
        return "features." + name.split(".", 2)[2]
    return re.sub(r"^lins\.(\d)\.", r"lin\1.", name)


constants = {name: tensor.clone() for name, tensor in distance.state_dict().items() if name.startswith("scaling_layer")}
fill(distance, lpips_name)
distance.load_state_dict(constants, strict=False)
images = seeded_images("lpips images", (2, 3, 48, 32)).double().requires_grad_()
references = seeded_images("lpips references", (2, 3, 48, 32)).double()
value = distance(images, references).reshape(-1)
features = [lpips.normalize_tensor(level) for level in distance.net.forward(distance.scaling_layer(images))]
golden["lpips"] = {"distance": value.tolist(), "features": [sampled(level) for level in features], "gradient": gradient(value.sum(), images)}
print("lpips done")

# ---- DINO


def dinov2_name(name):
    name = re.sub(r"attention\.([qkv])_proj", lambda m: "attention.attention." + {"q": "query", "k": "key", "v": "value"}[m[1]], name)
    return name.replace("attention.o_proj", "attention.output.dense")


def dinov3_name(name):
    return name.removeprefix("model.")


def published(name):
    return dinov2_name(name) if "encoder.layer" in name else dinov3_name(name)


WIDTHS = {"tiny": (64, 2, 4, 256), "s": (384, 12, 6, 1536), "b": (768, 12, 12, 3072)}
for size, (width, depth, heads, hidden) in WIDTHS.items():
    for generation in (2, 3):
        common = dict(hidden_size=width, num_hidden_layers=depth, num_attention_heads=heads)
        if generation == 2:
            grid = 5 if size == "tiny" else 37
            network = Dinov2Model(Dinov2Config(**common, mlp_ratio=4, image_size=14 * grid, patch_size=14, layer_norm_eps=1e-6, attn_implementation="eager"))
            side = 42
        else:
            network = DINOv3ViTModel(DINOv3ViTConfig(**common, intermediate_size=hidden, num_register_tokens=4, layer_norm_eps=1e-5, attn_implementation="eager"))
            side = 48
        fill(network, published)
        images = seeded_images("dino images", (2, 3, side, side)).double().requires_grad_()
        mean, deviation = (torch.tensor(v, dtype=torch.float64).reshape(3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
        # Rotary angles and the rescaled table are float32 inside; all else is float64.
        output = network(((images + 1) / 2 - mean) / deviation, output_hidden_states=True)
        prefix = 1 if generation == 2 else 5
        norm = network.layernorm if generation == 2 else network.norm
        middle = norm(output.hidden_states[depth // 2])[:, prefix:].reshape(2, 3, 3, width)
        golden[f"dinov{generation}-{size}"] = {
            "inputSize": side,
            "middle": sampled(middle.permute(0, 3, 1, 2)),
            "embedding": sampled(output.pooler_output),
            "gradient": gradient(output.pooler_output.pow(3).mean(), images),
        }
        print("dino", generation, size)

(FOLDER / "pretrained-networks.json").write_text(json.dumps(golden) + "\n")

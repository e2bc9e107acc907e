"""Makes autoencoder.json: moments, decoded images, gradients and tiled results of diffusers' AutoencoderKL with seeded weights (seeded_weights.py), at
reduced and at full width, for Stable Diffusion's shape and for VA-VAE's (which diffusers builds with attention at the coarsest resolution).

Needs torch 2.13.0, numpy 2.4.6, diffusers 0.42.1. Run: python autoencoder.py
"""
import json
import pathlib

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from seeded_weights import fill, sampled, seeded_images

FOLDER = pathlib.Path(__file__).parent


def autoencoder(channels, latent, attention, groups):
    levels = len(channels)
    down = ["DownEncoderBlock2D"] * levels
    up = ["UpDecoderBlock2D"] * levels
    if attention:
        down[-1], up[0] = "AttnDownEncoderBlock2D", "AttnUpDecoderBlock2D"
    return AutoencoderKL(
        block_out_channels=channels, latent_channels=latent, down_block_types=down, up_block_types=up, layers_per_block=2, norm_num_groups=groups, sample_size=32
    )


CASES = {
    "sd-vae small": ((32, 64, 64, 64), 4, False, 16, 32),
    "va-vae small": ((32, 32, 48, 48, 64), 8, True, 16, 32),
    "sd-vae": ((128, 256, 512, 512), 4, False, 32, 32),
    "va-vae": ((128, 128, 256, 256, 512), 32, True, 32, 32),
}
golden = {"torch": torch.__version__, "cases": {}}
for name, (channels, latent, attention, groups, side) in CASES.items():
    network = fill(autoencoder(channels, latent, attention, groups))
    # AttnDownEncoderBlock2D divides the width into heads of 8 by default; the original has one head, as the middle has.
    for module in network.modules():
        if type(module).__name__ == "Attention":
            module.heads = 1
    images = seeded_images("autoencoder images", (2, 3, side, side)).double().requires_grad_()
    moments = network.encode(images).latent_dist
    factor = 2 ** (len(channels) - 1)
    latents = seeded_images("autoencoder latents", (2, latent, side // factor, side // factor)).double().requires_grad_()
    decoded = network.decode(latents).sample
    case = {
        "mean": sampled(moments.mean),
        "logVariance": sampled(moments.logvar),
        "decoded": sampled(decoded),
        "encoderGradient": sampled(torch.autograd.grad(moments.mean.square().mean(), images)[0]),
        "decoderGradient": sampled(torch.autograd.grad(decoded.square().mean(), latents)[0]),
        "parameters": sum(p.numel() for p in network.parameters()),
    }
    if name == "sd-vae small":
        network.enable_tiling()
        large = seeded_images("large images", (1, 3, 72, 56)).double()
        case["tiledMean"] = sampled(network.encode(large).latent_dist.mean)
        case["tiledDecoded"] = sampled(network.decode(seeded_images("large latents", (1, latent, 9, 7)).double()).sample)
    golden["cases"][name] = case
    print(name, case["parameters"])
(FOLDER / "autoencoder.json").write_text(json.dumps(golden) + "\n")

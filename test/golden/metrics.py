"""Makes metrics.json: distances between small sets of features and images, by NumPy and SciPy.

Needs numpy 2.4.6, scipy 1.17.1. Run: python metrics.py
"""
import json
import pathlib

import numpy as np
import scipy
from scipy.linalg import sqrtm
from scipy.ndimage import correlate1d

random = np.random.default_rng(11)


def numbers(array):
    return {"shape": list(np.shape(array)), "data": [float(v) for v in np.ravel(array)]}


def frechet(a, b):
    """tr (C1 C2)^(1/2) as the sum of singular values of the product of the centred features: exact for any rank."""
    centred = lambda f: (f - f.mean(0)) / np.sqrt(len(f) - 1)
    trace = np.linalg.svd(centred(a) @ centred(b).T, compute_uv=False).sum()
    c1, c2 = np.cov(a.T), np.cov(b.T)
    distance = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * trace
    if np.linalg.matrix_rank(c1 @ c2) == len(c1):  # the matrix square root of a singular matrix is unreliable
        assert np.isclose(trace, np.trace(sqrtm(c1 @ c2).real), rtol=1e-8)
    return float(distance)


def kernel_distance(a, b):
    kernel = lambda x, y: (x @ y.T / x.shape[1] + 1) ** 3
    off_diagonal = lambda k: (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))
    return float(off_diagonal(kernel(a, a)) + off_diagonal(kernel(b, b)) - 2 * kernel(a, b).mean())


def precision_recall(real, generated, neighbours):
    distances = lambda x, y: np.linalg.norm(x[:, None] - y[None], axis=-1)
    inside = lambda points, centers: float((distances(points, centers) <= np.sort(distances(centers, centers), 1)[:, neighbours]).any(1).mean())
    return {"precision": inside(generated, real), "recall": inside(real, generated)}


def ssim(x, y):
    window = np.exp(-0.5 * ((np.arange(11) - 5) / 1.5) ** 2)
    window /= window.sum()

    def smooth(image):
        return correlate1d(correlate1d(image, window, axis=0), window, axis=1)[5:-5, 5:-5]

    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    mx, my = smooth(x), smooth(y)
    vx, vy, cxy = smooth(x * x) - mx**2, smooth(y * y) - my**2, smooth(x * y) - mx * my
    return float((((2 * mx * my + c1) * (2 * cxy + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())


def features(count, dimension, shift):
    mix = random.normal(size=(dimension, dimension)) / np.sqrt(dimension)
    return np.float32(np.maximum(random.normal(size=(count, dimension)) @ mix + shift, 0)).astype(np.float64)


pairs = {
    "more images than dimensions": (features(60, 12, 0.4), features(50, 12, 0.6)),
    "fewer images than dimensions": (features(7, 12, 0.4), features(9, 12, 0.6)),
    "a feature that is always zero": tuple(f * (np.arange(12) != 5) for f in (features(40, 12, 0.4), features(40, 12, 0.3))),
    "a mean far above the spread": tuple(np.float32(features(40, 12, 0.4) + shift).astype(np.float64) for shift in (512, 512.5)),
}
feature_cases = []
for name, (a, b) in pairs.items():
    feature_cases.append({
        "name": name,
        "a": numbers(a),
        "b": numbers(b),
        "mean": numbers(a.mean(0)),
        "covariance": numbers(np.cov(a.T)),
        "frechetDistance": frechet(a, b),
        "kernelDistance": kernel_distance(a, b),
        "precisionRecall": precision_recall(a, b, 3),
    })

y, x = np.mgrid[0:20, 0:16] / 16
image = np.float32(np.stack([np.sin(5 * x + 3 * y), np.cos(4 * y), x * y - 0.5], -1))
noisy = np.float32(np.clip(image + random.normal(0, 0.1, image.shape), -1, 1))
image_case = {
    "image": numbers(image),
    "reference": numbers(noisy),
    "psnr": float(10 * np.log10(4 / ((image.astype(np.float64) - noisy) ** 2).mean())),
    "ssim": float(np.mean([ssim(image[..., c].astype(np.float64), noisy[..., c].astype(np.float64)) for c in range(3)])),
}
golden = {"numpy": np.__version__, "scipy": scipy.__version__, "features": feature_cases, "images": image_case}
pathlib.Path(__file__).with_name("metrics.json").write_text(json.dumps(golden) + "\n")

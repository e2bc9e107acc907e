"""Makes post_hoc.json: factors of stored averages by least squares on the profiles' values, at Gauss-Legendre points between the steps where a profile ends.

The condition that the factors sum to 1 is met by elimination, x = 1 / K + N y with N a basis of what sums to 0, and numpy.linalg.lstsq finds y: no inner product's
closed form and no normal equations take part.
Needs numpy 2.4.6, scipy 1.17.1. Run: python post_hoc.py
"""
import json
import pathlib

import numpy as np
import scipy
from scipy.linalg import null_space
from scipy.optimize import brentq

POINTS = 400


def gamma_of(spread):
    """The power of the profile tau^gamma on [0, 1] whose standard deviation is the spread: that of the beta distribution with (gamma + 1, 1)."""
    return brentq(lambda gamma: scipy.stats.beta(gamma + 1, 1).std() - spread, 0, 2 / spread, xtol=1e-13)


def profile(tau, step, spread):
    gamma = gamma_of(spread)
    return np.where(tau <= step, (gamma + 1) / step * (tau / step) ** gamma, 0.0)


def case(stored, wanted):
    nodes, weights = np.polynomial.legendre.leggauss(POINTS)
    edges = [0.0, *sorted({step for step, _ in stored} | {wanted[0]})]
    tau = np.concatenate([(high - low) / 2 * nodes + (high + low) / 2 for low, high in zip(edges, edges[1:])])
    root = np.sqrt(np.concatenate([(high - low) / 2 * weights for low, high in zip(edges, edges[1:])]))
    columns = np.stack([root * profile(tau, *one) for one in stored], 1)
    target = root * profile(tau, *wanted)
    mean = np.full(len(stored), 1 / len(stored))
    free = null_space(np.ones((1, len(stored))))
    y = np.linalg.lstsq(columns @ free, target - columns @ mean, rcond=None)[0] if free.size else np.zeros(0)
    factors = mean + free @ y
    error = np.linalg.norm(columns @ factors - target) / np.linalg.norm(target)
    named = lambda one: {"step": one[0], "spread": one[1]}
    return {"stored": list(map(named, stored)), "wanted": named(wanted), "coefficients": factors.tolist(), "profileError": float(error)}


pairs = lambda steps: [(step, spread) for step in steps for spread in (0.05, 0.1)]
cases = [case(pairs(steps), wanted) for steps, wanted in [
    ([100, 200, 300], (300, 0.08)), ([100, 200, 300], (300, 0.15)), ([100, 200, 300], (300, 0.25)), ([50, 100, 150, 200], (200, 0.03)),
    ([7, 20, 33], (40, 0.12)), ([40], (40, 0.2)),
]] + [case([(10, 0.1)], (10, 0.2))]
golden = {"numpy": np.__version__, "scipy": scipy.__version__, "gammas": {str(spread): gamma_of(spread) for spread in (0.02, 0.05, 0.1, 0.25)}, "cases": cases}
pathlib.Path(__file__).with_name("post_hoc.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")

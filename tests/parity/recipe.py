"""Seeded weights and inputs of the parity numbers (NumPy only, no weight file).

    python recipe.py            # makes every weight in keys.json again and compares checksums
    python recipe.py --light    # the same without tensors of more than 2 million elements

Everything is drawn in float64, transformed in float64, and rounded once to float32. A float64 evaluation uses these
same float32 numbers, promoted.
"""

from __future__ import annotations

import json
import sys
import zlib
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def stream(label):
    """Generator seeded by the CRC-32 of a text label."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(label.encode("utf-8"))))


def kind_of(name, shape):
    """Which of the four rules makes the values of a parameter."""
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "bias":
        return "bias"
    if leaf != "weight":
        raise ValueError(f"no rule for {name}")
    if len(shape) == 1:
        return "norm_scale"
    return "table" if "_embeddings." in name else "kernel"


def weight(name, shape):
    """The float32 value of the parameter called `name`."""
    shape = tuple(int(size) for size in shape)
    draw = stream(name).standard_normal(shape)
    kind = kind_of(name, shape)
    if kind == "bias":
        draw = 0.05 * draw
    elif kind == "norm_scale":
        draw = 1.0 + 0.1 * draw
    elif kind == "table":
        draw = 0.5 * draw
    else:
        draw = draw / np.sqrt(float(np.prod(shape[1:])))
    return draw.astype(np.float32)


def ellipsoid(dims):
    """True inside an axis-aligned ellipsoid with half-axes of 0.45 times the size."""
    total = np.zeros(dims)
    for axis, size in enumerate(dims):
        offset = (np.arange(size) - (size - 1) / 2.0) / (0.45 * size)
        shape = [1, 1, 1]
        shape[axis] = size
        total = total + (offset**2).reshape(shape)
    return total <= 1.0


def _case(dims, num_frames, batch_size):
    return "{}x{}x{}/T{}/B{}".format(*dims, num_frames, batch_size)


def sequence(tag, dims, num_frames, batch_size, background=(-2.0, 0.0)):
    """Network input, float32 [B, 2, H, W, D, T]; the order of the two draws matters."""
    height, width, depth = dims
    rng = stream(f"input/{tag}/{_case(dims, num_frames, batch_size)}")
    image = 0.8 * rng.standard_normal((batch_size, 2, height, width, depth, num_frames))
    trend = 0.5 * rng.standard_normal((batch_size, 2, num_frames, 4))
    trend = trend[:, :, None, None, None, :, :]
    along_height = np.linspace(-1, 1, height).reshape(1, 1, height, 1, 1, 1)
    along_width = np.linspace(-1, 1, width).reshape(1, 1, 1, width, 1, 1)
    along_depth = np.linspace(-1, 1, depth).reshape(1, 1, 1, 1, depth, 1)
    image = image + trend[..., 0] + trend[..., 1] * along_height
    image = image + trend[..., 2] * along_width + trend[..., 3] * along_depth
    outside = ~ellipsoid(dims)
    for channel in (0, 1):
        image[:, channel][:, outside] = background[channel]
    return image.astype(np.float32)


def fake_reconstruction(tag, dims, num_frames, batch_size):
    """Stand-in for a network output in the loss numbers, float32 [B, 1, H, W, D, T]."""
    rng = stream(f"recon/{tag}/{_case(dims, num_frames, batch_size)}")
    return rng.standard_normal((batch_size, 1, *dims, num_frames)).astype(np.float32)


def scan_int16(shape):
    """Raw int16 scan [X, Y, Z, frames]; zeros outside an ellipsoid."""
    rng = stream("scan/int16/{}x{}x{}x{}".format(*shape))
    base = 8000.0 + 2000.0 * rng.standard_normal((*shape[:3], 1))
    scan = np.clip(np.rint(base + 300.0 * rng.standard_normal(shape)), 1, 32000)
    scan[~ellipsoid(shape[:3])] = 0
    return scan.astype(np.int16)


def scan_float32(shape):
    """Like scan_int16 but float32 and with three planted oddities.

    With (cx, cy, cz) = (X//2, Y//2, Z//2 - 2): voxel (cx, cy, cz) is exactly 0 in frames 12, 15, 18 only, voxel
    (cx+1, cy, cz) is 1024.0 in every frame, voxel (cx, cy+1, cz) has all its values negated.
    """
    rng = stream("scan/float32/{}x{}x{}x{}".format(*shape))
    base = 1000.0 + 250.0 * rng.standard_normal((*shape[:3], 1))
    scan = base + 40.0 * rng.standard_normal(shape)
    scan[~ellipsoid(shape[:3])] = 0
    scan = scan.astype(np.float32)
    x, y, z = shape[0] // 2, shape[1] // 2, shape[2] // 2 - 2
    scan[x, y, z, [12, 15, 18]] = 0
    scan[x + 1, y, z, :] = 1024.0
    scan[x, y + 1, z, :] *= -1
    return scan


def windows(kind, subjects=9, seed_label="windows"):
    """(subject, score, truth) of each window; kind is `binary_classification` or `regression`."""
    rng = stream(f"{seed_label}/{kind}")
    per_subject = rng.integers(2, 6, size=subjects)
    truth = rng.integers(0, 2, size=subjects).astype(float)
    truth[:2] = (0.0, 1.0)
    if kind == "regression":
        truth = np.round(22 + 15 * rng.random(subjects), 2)
    rows = []
    for subject in range(subjects):
        for _ in range(per_subject[subject]):
            if kind == "regression":
                score = truth[subject] + 3 * rng.standard_normal()
            else:
                score = 1.0 / (1.0 + np.exp(-(1.2 * (truth[subject] - 0.5) + rng.standard_normal())))
            rows.append((subject, score, truth[subject]))
    order = rng.permutation(len(rows))
    subject, score, label = zip(*rows, strict=True)
    return (
        np.asarray(subject, dtype=np.int64)[order],
        np.asarray(score, dtype=np.float32)[order],
        np.asarray(label, dtype=np.float32)[order],
    )


def stride(size, limit=4096):
    """The smallest odd number k with ceil(size / k) <= limit."""
    step = max(1, -(-size // limit))
    return step + 1 - step % 2


def sample(array, limit=4096):
    """What the .npz stores of an array: flattened in C order, every k-th element, k from `stride`."""
    flat = np.asarray(array).reshape(-1)
    return flat[:: stride(flat.size, limit)]


def stats(array):
    """[mean, population deviation, minimum, maximum, mean absolute value] in float64."""
    array = np.asarray(array, dtype=np.float64)
    return np.array([array.mean(), array.std(), array.min(), array.max(), np.abs(array).mean()])


def fingerprint(array):
    """CRC-32 of the float32 bytes."""
    return zlib.crc32(np.ascontiguousarray(array, dtype="<f4").tobytes())


def mismatches(keys, light):
    """Names of the weights and inputs that do not have their checksum."""
    tables = [*(table["parameters"] for table in keys["models"].values()), keys["vgg"]]
    weights = {(name, tuple(row["shape"])): row["crc32"] for table in tables for name, row in table.items()}
    for (name, shape), checksum in weights.items():
        if not (light and np.prod(shape) > 2e6) and fingerprint(weight(name, shape)) != checksum:
            yield name
    for label, checksum in keys["inputs"].items():
        _, tag, dims, frames, batch = label.split("/")
        background = tuple(keys["input_backgrounds"][tag])
        shape = (tuple(int(size) for size in dims.split("x")), int(frames[1:]), int(batch[1:]))
        if fingerprint(sequence(tag, *shape, background)) != checksum:
            yield label


def main():
    """Checks every weight and input."""
    found = list(mismatches(json.loads((HERE / "keys.json").read_text()), "--light" in sys.argv))
    print("\n".join([*found, f"{len(found)} mismatches"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

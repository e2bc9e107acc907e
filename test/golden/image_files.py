"""Golden file for src/model/data/resize.ts: small images and what Pillow makes of them.

pip install pillow==13.0.0 numpy==2.4.6; run in this folder: python image_files.py
"""

import base64
import io
import json

import numpy as np
import PIL
from PIL import Image, ImageOps

generator = np.random.default_rng(11)


def encoded(image, **options):
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return base64.b64encode(buffer.getvalue()).decode()


def centre_crop(image):
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return image.crop((left, top, left + side, top + side))


def pixels(image):
    return np.asarray(image.convert("RGB")).flatten().tolist()


def case(name, image, size, tolerance, expected=None, **options):
    file = encoded(image, **options)
    decoded = Image.open(io.BytesIO(base64.b64decode(file)))
    if expected is None:
        expected = centre_crop(ImageOps.exif_transpose(decoded).convert("RGB"))
        if expected.size != (size, size):
            enlarged = expected.width < size
            expected = expected.resize((size, size), Image.Resampling.BICUBIC if enlarged else Image.Resampling.LANCZOS)
    return {"name": name, "imageSize": size, "tolerance": tolerance, "file": file, "expected": pixels(expected)}


noise = Image.fromarray(generator.integers(0, 256, (8, 12, 3), dtype=np.uint8))
cases = []
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    cases.append(case(f"PNG, orientation {orientation}", noise, 8, 0, format="PNG", exif=exif))
    cases.append(case(f"lossless WebP, orientation {orientation}", noise, 8, 0, format="WEBP", lossless=True, exif=exif))

exif = Image.Exif()
exif[0x0112] = 6
ramp = np.stack(np.broadcast_arrays(np.arange(24)[None, :] * 10, np.arange(16)[:, None] * 15, 128), axis=-1).astype(np.uint8)
cases.append(case("JPEG, orientation 6", Image.fromarray(ramp), 16, 2, format="JPEG", quality=95, subsampling=0, exif=exif))

alpha = generator.integers(0, 256, (8, 8, 4), dtype=np.uint8)
on_white = Image.alpha_composite(Image.new("RGBA", (8, 8), "white"), Image.fromarray(alpha))
cases.append(case("PNG with alpha on white", Image.fromarray(alpha), 8, 1, on_white, format="PNG"))

palette = Image.fromarray(generator.integers(0, 4, (8, 8), dtype=np.uint8)).convert("P")
palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
opaque = palette.convert("RGB")
white_where_transparent = np.asarray(opaque).copy()
white_where_transparent[np.asarray(palette) == 1] = 255
cases.append(case("palette PNG with a transparent colour", palette, 8, 0, Image.fromarray(white_where_transparent), format="PNG", transparency=1))

grey = Image.fromarray(generator.integers(0, 256, (8, 8), dtype=np.uint8))
cases.append(case("greyscale PNG", grey, 8, 0, format="PNG"))
deep = generator.integers(0, 65536, (8, 8), dtype=np.uint16)
cases.append(case("16-bit greyscale PNG", Image.fromarray(deep), 8, 1, Image.fromarray((deep / 257).round().astype(np.uint8)), format="PNG"))

y, x = np.mgrid[0:48, 0:48]
smooth = np.stack([128 + 100 * np.sin(x / 5), 128 + 100 * np.cos(y / 4), 128 + 80 * np.sin((x + y) / 6)], axis=-1).astype(np.uint8)
cases.append(case("scaled from 48 to 16", Image.fromarray(smooth), 16, 2, format="PNG"))
cases.append(case("scaled from 48 to 64", Image.fromarray(smooth), 64, 1, format="PNG"))
# Of middling brightness: Pillow clips what overshoots between its two passes.
cases.append(case("noise enlarged from 9 to 32", Image.fromarray(generator.integers(64, 192, (9, 9, 3), dtype=np.uint8)), 32, 1, format="PNG"))

with open("image_files.json", "w") as file:
    json.dump({"versions": {"pillow": PIL.__version__, "numpy": np.__version__}, "cases": cases}, file)

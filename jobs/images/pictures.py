"""Makes three things of a picture: pictures.py PICTURE FOLDER

FOLDER/thumbnails/NAME.png  at most 160 pixels wide and high
FOLDER/edges/NAME.png       its edges, by the Sobel operator
FOLDER/objects/NAME.csv     its bright objects, such as galaxies: place, area in pixels, mean brightness above the sky
"""

import sys
from pathlib import Path

import numpy as np
from skimage import color, filters, io, measure, transform, util

LARGEST = 160
BLUR = 1.5
"""Pixels: smooths noise away before objects are looked for."""
ABOVE = 4.0
"""How many standard deviations of the sky an object stands out …"""
SMALLEST = 8
"""… on how many pixels."""


def thumbnail(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = min(1.0, LARGEST / max(height, width))
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return util.img_as_ubyte(np.clip(transform.resize(picture, size, anti_aliasing=True), 0, 1))


def edges(grey: np.ndarray) -> np.ndarray:
    found = filters.sobel(grey)
    return util.img_as_ubyte(found / max(found.max(), 1e-9))


def objects(grey: np.ndarray) -> list[str]:
    """A line of CSV an object, largest first. The sky is the picture's median."""
    light = grey - np.median(grey)
    smooth = filters.gaussian(light, BLUR)
    noise = 1.4826 * np.median(np.abs(smooth - np.median(smooth)))  # a deviation that bright objects do not raise
    regions = measure.regionprops(measure.label(smooth > ABOVE * max(noise, 1 / 255)), light)
    found = [region for region in regions if region.area >= SMALLEST]
    found.sort(key=lambda region: (-region.area, region.centroid))
    return [f"{r.centroid[1]:.1f},{r.centroid[0]:.1f},{r.area:.0f},{r.intensity_mean:.3f}" for r in found]


def main() -> None:
    source, folder = Path(sys.argv[1]), Path(sys.argv[2])
    picture = util.img_as_float(io.imread(source))
    if picture.ndim == 3:
        picture = picture[..., :3]  # no transparency
    grey = color.rgb2gray(picture) if picture.ndim == 3 else picture
    for kind, made in (("thumbnails", thumbnail(picture)), ("edges", edges(grey))):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        io.imsave(folder / kind / f"{source.stem}.png", made, check_contrast=False)
    (folder / "objects").mkdir(exist_ok=True)
    table = ["x,y,area,brightness", *objects(grey)]
    (folder / "objects" / f"{source.stem}.csv").write_text("\n".join(table) + "\n")


if __name__ == "__main__":
    main()

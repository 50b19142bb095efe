"""Maps in colour over the images they belong to."""

import os
from collections.abc import Sequence

import keras
import numpy as np

from keras_cr.visualization._inputs import IMAGE_SIZE, check_maps, read
from keras_cr.visualization._optional import optional
from keras_cr.visualization.picture import Pictures


def overlay(
    images: np.ndarray | Sequence[str | os.PathLike],
    maps: np.ndarray,
    alpha: float = 0.6,
    colormap: str = "inferno",
    image_size: int = IMAGE_SIZE,
) -> Pictures:
    """Lays maps over images: low places are dimmed, high ones glow orange and yellow.

    Maps are enlarged bilinearly. Their values are shown as they are, so two pictures can be
    compared: 0 is the colour map's lower end and 1 its upper one, whatever a map's own range.

    Args:
        images: (N, H, W, 3), RGB 0..255, uint8 or float; or N files. Files are read as the
            encoder sees them in evaluation, the shorter side resized to `image_size` and the
            central square of that, so that a map lies where it belongs.
        maps: (N, h, w), in 0..1.
        alpha: weight of the colours, from 0 (the image alone) to 1 (the map alone).
        colormap: a matplotlib colour map. The default grows evenly in lightness, so it also reads
            in grey and with any colour vision; so do "viridis" and "cividis".
        image_size: side in pixels that files are read at; arrays keep their size.

    Returns:
        (N, H, W, 3) uint8. Each of them is a `Picture`: a notebook shows `laid[0]`, and
        `laid[0].save("first.png")` writes it.

    Raises:
        ImportError: matplotlib is missing.
        ValueError: a shape or range is not as above, a file does not decode, or `colormap` is
            unknown.

    Example:

    >>> laid = overlay(images, encoder.encode(images)["rationale"])
    """
    images = read(images, image_size)
    maps = check_maps(maps, len(images))
    if not 0 <= alpha <= 1:
        raise ValueError(f"`alpha` must be from 0 to 1; received {alpha}.")
    colormaps = optional("matplotlib", "matplotlib").colormaps
    if colormap not in colormaps:
        raise ValueError(
            f"`colormap` must be one of matplotlib's, such as 'inferno'; received {colormap!r}."
        )
    colors = colormaps[colormap](np.linspace(0, 1, 256), bytes=True)[:, :3]
    size = images.shape[1:3]
    large = keras.ops.image.resize(
        maps[..., None], size, interpolation="bilinear", data_format="channels_last"
    )
    large = np.clip(keras.ops.convert_to_numpy(large)[..., 0], 0, 1)
    painted = colors[np.rint(255 * large).astype("uint8")]
    return Pictures(np.rint((1 - alpha) * images + alpha * painted).astype("uint8"))

"""Maps in colour over the images they belong to."""

import keras
import numpy as np

from keras_cr.visualization._optional import optional


def overlay(
    images: np.ndarray, maps: np.ndarray, alpha: float = 0.6, colormap: str = "inferno"
) -> np.ndarray:
    """Lays maps over images: low places are dimmed, high ones glow orange and yellow.

    Maps are enlarged bilinearly. Their values are shown as they are, so two pictures can be
    compared: 0 is the colour map's lower end and 1 its upper one, whatever a map's own range.

    Args:
        images: (N, H, W, 3), RGB 0..255, uint8 or float.
        maps: (N, h, w), in 0..1.
        alpha: weight of the colours, from 0 (the image alone) to 1 (the map alone).
        colormap: a matplotlib colour map. The default grows evenly in lightness, so it also reads
            in grey and with any colour vision; so do "viridis" and "cividis".

    Returns:
        (N, H, W, 3) uint8.

    Raises:
        ImportError: matplotlib is missing.
        ValueError: a shape or range is not as above, or `colormap` is unknown.
    """
    images, maps = check_images(images), np.asarray(maps, dtype="float32")
    if maps.ndim != 3 or len(maps) != len(images) or 0 in maps.shape:
        raise ValueError(
            f"`maps` must have shape (N, h, w), one map for each of the {len(images)} images; "
            f"received shape {maps.shape}."
        )
    if not (maps.min() >= -1e-3 and maps.max() <= 1 + 1e-3):
        raise ValueError(
            "`maps` must lie in 0..1, as a rationale does; received values from "
            f"{maps.min():.3g} to {maps.max():.3g}. Divide by the maximum."
        )
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
    return np.rint((1 - alpha) * images + alpha * painted).astype("uint8")


def check_images(images: np.ndarray) -> np.ndarray:
    """Returns `images` as uint8 (N, H, W, 3).

    Raises:
        ValueError: if there is none, or they are not RGB 0..255.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape:
        raise ValueError(
            f"`images` must have shape (N, H, W, 3), RGB; received shape {images.shape}."
        )
    if images.dtype == np.uint8:
        return images
    low, high = images.min(), images.max()
    if not (low > -0.5 and high < 255.5) or 0 < high <= 1:  # resizing rounds
        raise ValueError(
            f"`images` must be RGB 0..255; received values from {low:.3g} to {high:.3g}. "
            "Multiply images in 0..1 by 255."
        )
    return np.rint(images).astype("uint8")

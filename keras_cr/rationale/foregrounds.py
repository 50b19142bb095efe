"""The rationale in the loop: its maps cut objects out, and views show them on other backgrounds."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from keras_cr._files import DAMAGED_ZIP, whole_file
from keras_cr._numbers import whole_number
from keras_cr._progress import Verbose, tracked
from keras_cr._resize import resize
from keras_cr.attribution import center_prior
from keras_cr.layers import RationaleBranch
from keras_cr.models.feature_maps import FeatureMaps, HeldMaps
from keras_cr.rationale.allowed import CHANGED_VIEWS, check_choices
from keras_cr.rationale.branch_fit import MAX_IMAGES, fit_branch, fresh_branch
from keras_cr.rationale.colours import SIDE, refine_by_colours

if TYPE_CHECKING:
    from keras_cr.data import BackgroundSwap, FineGrainedDataset, ObjectCrops
    from keras_cr.models import CommonRationaleEncoder

_MASK_SIDE = 4  # pixels of an image that make one place of a mask's map


@dataclass(frozen=True)
class Foregrounds:
    """Views show the objects that maps cut out on the backgrounds of other images.

    Two views share the object and no longer the background, so an objective learns what objects
    look like; and their crops are moved to where they show enough of it. Before the first epoch,
    and again every few, the branch is fitted to the backbone as it is (`fit_rationale`), and its
    maps cut until the next fit. Where the fitted maps say nothing, views are left as they are.

    Args:
        cut: whose maps: the `"rationale"`'s; or, to compare with, those of a branch of one detector
            fitted to a Gaussian in the `"center"`, another image's (`"shuffled"`), or the true
            `"mask"`, which sees what no map may see.
        refine: how maps are drawn sharper before they cut: by the `"colours"` of each image, which
            object and background have (`keras_cr.rationale.colours`), or `"none"`. True masks stay
            as they are.
        cut_level: height of the map at the object's edge.
        cut_softness: width of the edge, in heights of the map.
        swap_probability: that a view is changed.
        swapped: which views are: `"query"`, `"key"`, `"small"`.
        filling: what comes behind the object, see `keras_cr.data.BackgroundSwap`.
        crop_share: least share that a view's crop holds of the most it could hold of its object,
            see `keras_cr.data.ObjectCrops`; 0 leaves crops where they fall.
        fit_every: epochs from one fit to the next.

    Raises:
        ValueError: an argument has a value that is not listed above, or leaves its range.
    """

    cut: str = "rationale"
    refine: str = "colours"
    cut_level: float = 0.5
    cut_softness: float = 0.05
    swap_probability: float = 0.8
    swapped: tuple[str, ...] = ("query", "key")
    filling: str = "background"
    crop_share: float = 0.5
    fit_every: int = 4

    def __post_init__(self):
        swapped = (self.swapped,) if isinstance(self.swapped, str) else self.swapped
        if not isinstance(swapped, Iterable) or not (swapped := tuple(swapped)):
            raise ValueError(
                f"`swapped` must name one or more views. Received: swapped={self.swapped!r}"
            )
        object.__setattr__(self, "swapped", swapped)
        object.__setattr__(self, "fit_every", whole_number("fit_every", self.fit_every))
        check_choices(self)
        in_order = tuple(view for view in CHANGED_VIEWS if view in swapped)
        object.__setattr__(self, "swapped", in_order)
        for name in ("cut_level", "cut_softness", "swap_probability", "crop_share"):
            object.__setattr__(self, name, float(getattr(self, name)))

    def check_views(self, seen: Iterable[str], objective: str) -> None:
        """Refuses `swapped` where it changes nothing that is trained on.

        Args:
            seen: the views that an objective sees.
            objective: its name, for the message.

        Raises:
            ValueError: `swapped` names small crops, and there are none, or no view that is seen.
        """
        seen = tuple(dict.fromkeys(seen))
        unseen = [name for name in self.swapped if name not in seen]
        if "small" in unseen or len(unseen) == len(self.swapped):
            raise ValueError(
                f"`swapped` must name views that {objective} sees, {', '.join(seen)}, and small "
                f"only where there are small crops. Received: swapped={self.swapped!r}"
            )

    def map_size(self, image_size: int, own: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the maps that `foreground_maps` gives.

        Args:
            image_size: side in pixels of the squares that images are seen as.
            own: height and width of the encoder's feature map of them.
        """
        if self.cut == "mask":
            return 2 * (-(-image_size // _MASK_SIDE),)  # type: ignore[return-value]
        return (SIDE, SIDE) if self.refine == "colours" else own

    def swap(self, maps: np.ndarray) -> "BackgroundSwap":
        """What `keras_cr.data.two_views` takes, of maps that `foreground_maps` gave."""
        from keras_cr.data import BackgroundSwap

        return BackgroundSwap(
            maps,
            probability=self.swap_probability,
            level=self.cut_level,
            softness=self.cut_softness,
            filling=self.filling,
            views=self.swapped,
        )

    def crops(self, maps: np.ndarray) -> "ObjectCrops | None":
        """What `keras_cr.data.two_views` takes, of the same maps; None: crops fall as they do."""
        from keras_cr.data import ObjectCrops

        return ObjectCrops(maps, self.crop_share, level=self.cut_level) if self.crop_share else None


def foreground_maps(
    encoder: "CommonRationaleEncoder",
    dataset: "FineGrainedDataset",
    image_size: int,
    batch_size: int = 64,
    cut: str = "rationale",
    seed: int = 0,
    verbose: Verbose = "auto",
    refine: str = "colours",
) -> np.ndarray:
    """Where the objects of a data set's images are, over the whole images.

    Args:
        encoder: whose branch says it; not changed.
        dataset: the images.
        image_size: side in pixels of the squares that they are seen as.
        batch_size: images at a time.
        cut: as for `Foregrounds`.
        seed: of the control's branch.
        verbose: 0 shows no progress, 1 and `"auto"` show it on stderr; 2 in few lines.
        refine: as for `Foregrounds`.

    Returns:
        `(N, h, w)` float16, 0..1.

    Raises:
        ValueError: `cut` or `refine` is another word, or `cut` is `"mask"` and the data set has
            neither masks nor boxes.

    Example:

    >>> maps = foreground_maps(encoder, train, image_size=224)
    >>> views = two_views(train, 224, 32, backgrounds=Foregrounds().swap(maps))
    """
    from keras_cr.data import image_batches

    choices = Foregrounds(cut=cut, refine=refine)
    if cut == "mask":
        batches = mask_batches(dataset, image_size, batch_size)
        size = choices.map_size(image_size, (0, 0))
        parts = [resize(masks[..., None], size, antialias=True)[..., 0] for masks in batches]
    else:
        images = image_batches(dataset, image_size, batch_size, crop=False).as_numpy_iterator()
        model, branch = FeatureMaps(encoder), encoder.branch
        if cut == "center":
            shown = dataset.spread(MAX_IMAGES)
            batches = image_batches(shown, image_size, batch_size, crop=False)
            branch = _centered(model, batches.as_numpy_iterator(), seed)
        images = tracked(images, "Cutting out the objects", len(dataset), verbose=verbose)
        parts = []
        for batch in images:
            found = branch(model.predict_on_batch(batch))
            parts.append(refine_by_colours(found, batch) if refine == "colours" else found)
    maps = np.concatenate([ops.convert_to_numpy(part) for part in parts]).astype("float16")
    maps = np.clip(maps, 0, 1)
    return np.roll(maps, len(maps) // 2, axis=0) if cut == "shuffled" else maps


def mask_batches(dataset: "FineGrainedDataset", image_size: int, batch_size: int = 64) -> Any:
    """True masks of whole images in batches, of which nothing is read yet.

    Raises:
        ValueError: there are none, or none of some images.
    """
    from keras_cr.data import foreground_batches

    batches = foreground_batches(dataset, image_size, batch_size, crop=False)
    if batches is None:
        raise ValueError(
            f"`cut` is 'mask', and {dataset.name!r} has neither masks nor boxes; give a data set "
            "that has, or cut='rationale'."
        )
    return batches


def _centered(model, images, seed: int) -> RationaleBranch:
    """A branch of one detector, fitted to a Gaussian in the middle of each image."""
    encoder, held = model.encoder, HeldMaps()
    for batch in images:
        held.add(model.predict_on_batch(batch))
    maps, branch = held.all(), fresh_branch(encoder.branch, seed, 1)
    prior = center_prior(*maps.shape[1:3])
    fit_branch(branch, maps, np.broadcast_to(prior, maps.shape[:3]), seed=seed)
    return branch


def write_maps(path: Path, maps: np.ndarray, **decides: Any) -> None:
    """Keeps maps beside what decides them; the file is there whole or not at all."""
    key = np.array(_key(decides))
    with whole_file(path) as part, part.open("wb") as file:
        np.savez_compressed(file, maps=maps, decides=key)


def read_maps(path: Path, **decides: Any) -> np.ndarray | None:
    """What `write_maps` kept, or None where the file is missing, damaged or of something else.

    Without anything that decides them, any maps are taken.
    """
    try:
        with np.load(path, allow_pickle=False) as held:
            known = not decides or str(held["decides"]) == _key(decides)
            return held["maps"] if known else None
    except DAMAGED_ZIP:
        return None


def _key(decides: dict) -> str:
    return json.dumps(decides, sort_keys=True)

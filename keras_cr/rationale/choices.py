"""Every choice of how the rationale branch is trained, in one place."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keras import ops

from keras_cr._types import Tensor
from keras_cr.attribution import center_prior
from keras_cr.losses import RationaleFit
from keras_cr.rationale.allowed import check_choices
from keras_cr.rationale.foregrounds import Foregrounds
from keras_cr.rationale.positives import Neighbours, Views

_POSITIVES = {"neighbours": Neighbours, "views": Views}
_EARLIER = {
    "foregrounds": "off",
    "background": 0.0,
    "background_negatives": 0.0,
    "self_training": False,
}
_PARTS = ("positives", "foregrounds")  # choices that have choices of their own


@dataclass(frozen=True)
class Rationale:
    """How the branch is fitted to the GradCAM of a loss.

    The defaults are what measured best (docs/rationale.md): the loss that is explained compares an
    image with its nearest other images, not two views of one; the target marks where growth of the
    feature lowers that loss, more so in the middle; and the backbone is left to the self-supervised
    objective alone. `Rationale.paper()` explains the objective's own loss; `Rationale.reference()`
    holds what the authors' release computes.

    Args:
        positives: what the explained loss compares an image with: `Neighbours(...)`, or
            `Views(...)`, and what belongs to either; or its name, `"neighbours"` or `"views"`.
        weight: factor of the fit loss beside the self-supervised loss.
        lr_multiplier: the branch learns at this multiple of the learning rate; 0: not at all, and
            there are no foregrounds then, for which it would be fitted.
        target: `"sign"` marks the places where the GradCAM is above zero, `"cam"` takes its height.
        prior: `"center"` multiplies the target by a Gaussian around the image's middle, which
            keeps it from turning to the background where neighbours are wrong; `"none"` doesn't.
        sign: `1` marks places whose growth raises the explained loss (the release), `-1` those
            whose growth lowers it: what speaks for the positive.
        cam: `"elementwise"` or `"channel"`, see `keras_cr.attribution.grad_cam`.
        target_normalization: `"image"` scales each target map to 0..1; `"none"` leaves it raw.
        temperature: divides target and map before their softmax.
        softmax: over all places of the `"map"`, or over each of its `"rows"`; `"places"` takes
            none and fits by the mean squared error of the places, without a temperature.
        reduction: `"mean"` or `"sum"` of the fit loss over the images.
        map_normalization: `"image"`, or `"batch"`: the branch's map is normalised over the whole
            batch while it is trained (inference is always per image).
        train_affine: whether scale and offset of the branch's batch normalisation are trained.
            Frozen, the map keeps its contrast as the fit converges.
        self_training: whether `fit_rationale` ends with two fits to the branch's own maps, refined
            by each image's colours (`keras_cr.rationale.self_training`): what the colours tell of
            one image, the features can know of all. Concerns nothing else.
        foregrounds: how the branch's maps cut objects out for the views of
            `keras_cr.pretraining.pretrain`, `Foregrounds(...)`, or None, where they don't; `"on"`
            and `"off"` are `Foregrounds()` and None, `"auto"` is `"on"` with `Neighbours`. A step
            on given views is the same with and without it.

    Raises:
        ValueError: an argument has a value that is not listed above, or `foregrounds` is wanted of
            maps of views or of a branch that doesn't learn.

    Example:

    >>> Rationale(Neighbours(k=5), temperature=0.1)
    """

    positives: Neighbours | Views = field(default_factory=Neighbours)
    weight: float = 1.0
    lr_multiplier: float = 1.0
    target: str = "sign"
    prior: str = "center"
    sign: int = -1
    cam: str = "elementwise"
    target_normalization: str = "image"
    temperature: float = 0.2
    softmax: str = "map"
    reduction: str = "mean"
    map_normalization: str = "image"
    train_affine: bool = False
    self_training: bool = True
    foregrounds: Foregrounds | str | None = "auto"

    def __post_init__(self):
        if isinstance(self.positives, str) and self.positives in _POSITIVES:
            object.__setattr__(self, "positives", _POSITIVES[self.positives]())
        if not isinstance(self.positives, Neighbours | Views):
            raise ValueError(
                "`positives` must be Neighbours(...), Views(...), 'neighbours' or 'views'. "
                f"Received: positives={self.positives!r}"
            )
        check_choices(self)
        self._take_foregrounds()

    def _take_foregrounds(self) -> None:
        """A word becomes what it stands for; refuses what there is nothing to cut by."""
        given, compares = self.foregrounds, isinstance(self.positives, Neighbours)
        learns = self.lr_multiplier > 0
        auto = Foregrounds() if compares and learns else None
        words = {"auto": auto, "on": Foregrounds(), "off": None}
        foregrounds = words.get(given, given) if isinstance(given, str) else given
        if not isinstance(foregrounds, Foregrounds | None):
            raise ValueError(
                "`foregrounds` must be Foregrounds(...), None, or one of "
                f"{', '.join(words)}. Received: foregrounds={given!r}"
            )
        if foregrounds and not compares:
            raise ValueError(
                "`foregrounds` needs positives=Neighbours(...): what cuts is fitted to whole "
                "images, before there are views. Received: positives=Views(...); give "
                "foregrounds=None, or change a Rationale by its changed(...)"
            )
        if foregrounds and not learns:
            raise ValueError(
                "`foregrounds` needs a branch that learns: what cuts is fitted. Received: "
                "lr_multiplier=0; give foregrounds=None ('off'), or an lr_multiplier above 0"
            )
        object.__setattr__(self, "foregrounds", foregrounds)

    @classmethod
    def paper(cls) -> "Rationale":
        """The paper's formulation: the GradCAM of the objective's own loss, under control.

        Two views of an image are the positive. The target keeps its heights, scaled to 0..1 for
        each image and softened by a temperature, with the sign that speaks for the positive; raw,
        it would be uniform, as `Rationale.reference()` is.
        """
        return cls(Views(), target="cam", prior="none", temperature=0.4)

    @classmethod
    def reference(cls, objective: str = "moco") -> "Rationale":
        """What the authors' release computes, which differs from the paper and between its paths.

        In both: raw GradCAM of relu(+g phi) where the paper's target speaks for the positive,
        summed over the batch, weighted by 0.01, nothing detached, maps normalised over the batch,
        32 detectors. The raw target is almost uniform; see the metric `target_entropy`.

        Args:
            objective: the path. `"moco"`: softmax over rows, at temperature 1. `"byol"`: softmax
                over all places, at temperature 0.4, of the first view's GradCAM. That path leaves
                max pooling out of its ResNet-50 (`resnet50(max_pool=False)`). Its loss is half of
                `BYOL`'s: `BYOL(..., objective_weight=0.5)` has its total, but for GradCAMs that
                are twice as high.

        Raises:
            ValueError: the release has no such path.
        """
        paths = {
            "moco": {"softmax": "rows", "temperature": 1.0},
            "byol": {"softmax": "map", "temperature": 0.4},
        }
        if objective not in paths:
            raise ValueError(
                f"`objective` must be one of {', '.join(paths)}, the release's. "
                f"Received: objective={objective!r}"
            )
        passes = ("query", "key") if objective == "moco" else ()
        return cls(
            Views(detach_target=False, detach_features=False, extra_passes=passes),
            weight=0.01,
            target="cam",
            prior="none",
            sign=1,
            target_normalization="none",
            reduction="sum",
            map_normalization="batch",
            train_affine=True,
            **paths[objective],  # type: ignore[arg-type]
        )

    @classmethod
    def names(cls) -> dict[str, type]:
        """Every choice that `changed` knows, `positives` among them, and the type of its value."""
        found = dict.fromkeys(_PARTS, str)
        for kind in (cls, Neighbours, Views, Foregrounds):
            found |= {f.name: f.type for f in dataclasses.fields(kind) if f.name not in _PARTS}  # type: ignore[misc]
        return {name: tuple if "tuple" in str(kind) else kind for name, kind in found.items()}

    def changed(self, options: Mapping[str, Any]) -> "Rationale":
        """The same rationale with some choices changed, each by its name alone.

        Args:
            options: choices of this class, of the positives' and of the foregrounds' in one dict,
                as `get_config` gives them; `positives` is a name, and another kind starts from its
                defaults; `foregrounds` is `"on"` or `"off"`.

        Raises:
            ValueError: there is no such choice, a value can't be, or a choice belongs to the other
                kind of positives, or to foregrounds that are off, and would have no effect.
        """
        options = dict(options)
        positives, foregrounds = self.positives, self.foregrounds
        if (name := options.pop("positives", None)) is not None:
            kind = type(Rationale(name).positives)
            positives = positives if isinstance(positives, kind) else kind()
        if (name := options.pop("foregrounds", None)) is not None:
            wanted = Rationale(positives, foregrounds=name).foregrounds
            foregrounds = wanted and (foregrounds or wanted)
        elif type(positives) is not type(self.positives):
            foregrounds = Rationale(positives).foregrounds
        parts = {}
        for part, now in (("positives", positives), ("foregrounds", foregrounds)):
            own = {f.name for f in dataclasses.fields(now)} if now else set()  # type: ignore[arg-type]
            found = {name: options.pop(name) for name in options.keys() & own}
            parts[part] = dataclasses.replace(now, **found) if found else now
        for name in options.keys() - {f.name for f in dataclasses.fields(self)}:
            if name not in self.names():
                raise ValueError(f"`{name}` is no choice of a rationale: {', '.join(self.names())}")
            of_foregrounds = name in {f.name for f in dataclasses.fields(Foregrounds)}
            where = "foregrounds='off'" if of_foregrounds else f"positives={_word(positives)!r}"
            raise ValueError(
                f"`{name}` has no effect with {where}. Received: {name}={options[name]!r}"
            )
        return dataclasses.replace(self, **parts, **options)  # type: ignore[arg-type]

    @property
    def explains_objective(self) -> bool:
        """Whether the explained loss is the objective's own."""
        return isinstance(self.positives, Views)

    @property
    def whole_images(self) -> bool:
        """Whether a step needs the whole images beside the views."""
        return isinstance(self.positives, Neighbours) and self.positives.images == "whole"

    def target_of(self, cam: Tensor) -> Tensor:
        """What the branch is fitted to: `(B, h, w)`, of a GradCAM of that shape."""
        target = ops.cast(cam > 0, cam.dtype) if self.target == "sign" else cam
        if self.prior == "none":
            return target
        return target * ops.convert_to_tensor(center_prior(*cam.shape[1:]), cam.dtype)

    def fit_loss(self) -> RationaleFit:
        """The loss these choices describe."""
        return RationaleFit(
            temperature=self.temperature,
            target_normalization=self.target_normalization,
            over=self.softmax,
            reduction=self.reduction,
        )

    def get_config(self) -> dict:
        """The choices by name as a JSON-serialisable dict, for `from_config`."""
        config = vars(self) | {"positives": _word(self.positives)} | vars(self.positives)
        config |= {"foregrounds": "on" if self.foregrounds else "off"}
        config |= vars(self.foregrounds) if self.foregrounds else {}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in config.items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Rationale":
        """The rationale that `get_config` described.

        Of a config that lists the choices of both kinds of positives, as those of earlier runs do,
        the ones without effect are left out; one that doesn't know `background`, `foregrounds`,
        `refine`, `crop_share` or `self_training` is of a run that did without them.

        Raises:
            ValueError: as `changed`.
        """
        config = _EARLIER | dict(config)
        if config["foregrounds"] == "on":
            config.setdefault("refine", "none")
            config.setdefault("crop_share", 0.0)
        if config.get("pooled_weight") == 0:  # of earlier runs: another loss, and none of it
            del config["pooled_weight"]
        kind = _POSITIVES.get(config.get("positives"), Neighbours)  # type: ignore[call-overload]
        idle = {f.name for other in _POSITIVES.values() for f in dataclasses.fields(other)}
        idle -= {f.name for f in dataclasses.fields(kind)}
        return cls().changed({k: v for k, v in config.items() if k not in idle})


def _word(positives: Neighbours | Views) -> str:
    return next(word for word, kind in _POSITIVES.items() if isinstance(positives, kind))

"""Every choice of how the rationale branch is trained, in one place."""

from dataclasses import asdict, dataclass

from keras_cr.losses import RationaleFit

_CHOICES = {
    "cam": ("elementwise", "channel"),
    "sign": (1, -1),
    "target_normalization": ("image", "none"),
    "softmax": ("map", "rows"),
    "reduction": ("mean", "sum"),
    "map_normalization": ("image", "batch"),
}


@dataclass(frozen=True)
class Rationale:
    """How the branch is fitted to the GradCAM of the self-supervised loss.

    The defaults keep the target's scale under control (per-image normalisation, a temperature
    below one) and leave the backbone to the self-supervised objective alone (both sides detached).
    `Rationale.reference()` holds what the authors' release computes.

    Args:
        weight: factor of the fit loss beside the self-supervised loss.
        sign: `1` marks places whose growth raises the self-supervised loss (the release), `-1`
            those whose growth lowers it: what speaks for the positive.
        cam: `"elementwise"` or `"channel"`, see `keras_cr.attribution.grad_cam`.
        target_normalization: `"image"` scales each target map to 0..1; `"none"` leaves it raw.
        temperature: divides target and map before their softmax.
        softmax: over all places of the `"map"`, or over each of its `"rows"`.
        reduction: `"mean"` or `"sum"` of the fit loss over the images.
        detach_target: whether the target is a constant. False lets the fit loss reach the feature
            map through the target's factor `phi`; the gradient factor is always a constant.
        detach_features: whether the fit loss stops at the branch. False lets it train the backbone.
        map_normalization: `"image"`, or `"batch"`: the branch's map is normalised over the whole
            batch while it is trained (inference is always per image).
        train_affine: whether scale and offset of the branch's batch normalisation are trained.
            Frozen, the map keeps its contrast as the fit converges.
        extra_passes: views (`"query"`, `"key"`) that go through the branch before the fit, only to
            move the running statistics of its batch normalisation.

    Raises:
        ValueError: an argument has a value that is not listed above.
    """

    weight: float = 1.0
    sign: int = -1
    cam: str = "elementwise"
    target_normalization: str = "image"
    temperature: float = 0.4
    softmax: str = "map"
    reduction: str = "mean"
    detach_target: bool = True
    detach_features: bool = True
    map_normalization: str = "image"
    train_affine: bool = False
    extra_passes: tuple[str, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "extra_passes", tuple(self.extra_passes))
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"`{name}` must be one of {allowed}. Received: {name}={getattr(self, name)!r}"
                )
        if self.weight < 0:
            raise ValueError(f"`weight` must be 0 or more. Received: weight={self.weight!r}")
        if self.temperature <= 0:
            raise ValueError(
                f"`temperature` must be positive. Received: temperature={self.temperature!r}"
            )
        if unknown := set(self.extra_passes) - {"query", "key"}:
            raise ValueError(
                f"`extra_passes` may hold 'query' and 'key'. Received: {sorted(unknown)}"
            )

    @classmethod
    def reference(cls) -> "Rationale":
        """What the MoCo path of the authors' release computes.

        Raw GradCAM of relu(+g phi), softmax over rows at temperature 1, summed, weighted by 0.01,
        nothing detached, maps normalised over the batch. Its raw target is almost uniform; see the
        metric `target_entropy`. The release has 32 detectors.
        """
        return cls(
            weight=0.01,
            sign=1,
            target_normalization="none",
            temperature=1.0,
            softmax="rows",
            reduction="sum",
            detach_target=False,
            detach_features=False,
            map_normalization="batch",
            train_affine=True,
            extra_passes=("query", "key"),
        )

    def fit_loss(self) -> RationaleFit:
        """The loss these choices describe."""
        return RationaleFit(
            temperature=self.temperature,
            target_normalization=self.target_normalization,
            over=self.softmax,
            reduction=self.reduction,
        )

    def get_config(self) -> dict:
        """The choices as a JSON-serialisable dict: `Rationale(**config)` gives them back."""
        return asdict(self) | {"extra_passes": list(self.extra_passes)}

"""Every choice of how the rationale branch is trained, in one place."""

from dataclasses import asdict, dataclass

from keras import ops

from keras_cr._numbers import whole_number
from keras_cr.attribution import center_prior
from keras_cr.losses import RationaleFit

_CHOICES = {
    "positives": ("neighbours", "views"),
    "images": ("whole", "views"),
    "contrast": ("infonce", "similarity"),
    "target": ("sign", "cam"),
    "prior": ("center", "none"),
    "cam": ("elementwise", "channel"),
    "sign": (1, -1),
    "target_normalization": ("image", "none"),
    "softmax": ("map", "rows", "places"),
    "reduction": ("mean", "sum"),
    "map_normalization": ("image", "batch"),
}


@dataclass(frozen=True)
class Rationale:
    """How the branch is fitted to the GradCAM of a contrastive loss.

    The defaults are what measured best (docs/rationale.md): the loss that is explained compares an
    image with its nearest other images, not two views of one; the target marks where growth of the
    feature lowers that loss, more so in the middle; and the backbone is left to the self-supervised
    objective alone (both sides detached). `Rationale.paper()` explains the objective's own loss;
    `Rationale.reference()` holds what the authors' release computes.

    Args:
        weight: factor of the fit loss beside the self-supervised loss.
        lr_multiplier: the branch learns at this multiple of the learning rate; 0: not at all.
        positives: what the explained loss compares an image with: `"neighbours"`, the mean of its
            `k` nearest other images, on whole images and frozen features; or `"views"`, its other
            view: the objective's own loss.
        images: what is compared with neighbours: the `"whole"` images, as inference sees them, or
            the query `"views"`, whose feature maps are there anyway: a forward pass less.
        mirror: whether the target is the mean of an image's and, flipped back, its mirror image's,
            for one forward pass more.
        contrast: the loss that compares with neighbours: `"infonce"`, or `"similarity"`, minus the
            similarity to the positive alone: nothing is a negative.
        k: number of neighbours; about a third of an image's kin in the bank, or fewer.
        bank_size: embeddings of earlier images that neighbours are looked for among.
        warmup: how often the bank is filled before maps pool the embeddings in it; averages until
            then.
        contrast_temperature: of the InfoNCE loss that compares with neighbours.
        target: `"sign"` marks the places where the GradCAM is above zero, `"cam"` takes its height.
        prior: `"center"` multiplies the target by a Gaussian around the image's middle, which
            keeps it from turning to the background where neighbours are wrong; `"none"` doesn't.
        sign: `1` marks places whose growth raises the self-supervised loss (the release), `-1`
            those whose growth lowers it: what speaks for the positive.
        cam: `"elementwise"` or `"channel"`, see `keras_cr.attribution.grad_cam`.
        target_normalization: `"image"` scales each target map to 0..1; `"none"` leaves it raw.
        temperature: divides target and map before their softmax.
        softmax: over all places of the `"map"`, or over each of its `"rows"`; `"places"` takes
            none and fits by the mean squared error of the places, without a temperature.
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
        pooled_weight: factor of a second self-supervised loss, on features that are pooled by the
            branch's maps; no gradient goes through the maps. 0: none.

    Raises:
        ValueError: an argument has a value that is not listed above, or would have no effect
            beside the others.
    """

    weight: float = 1.0
    lr_multiplier: float = 1.0
    positives: str = "neighbours"
    images: str = "whole"
    mirror: bool = False
    contrast: str = "infonce"
    k: int = 10
    bank_size: int = 1024
    warmup: float = 2.0
    contrast_temperature: float = 0.2
    target: str = "sign"
    prior: str = "center"
    sign: int = -1
    cam: str = "elementwise"
    target_normalization: str = "image"
    temperature: float = 0.2
    softmax: str = "map"
    reduction: str = "mean"
    detach_target: bool = True
    detach_features: bool = True
    map_normalization: str = "image"
    train_affine: bool = False
    extra_passes: tuple[str, ...] = ()
    pooled_weight: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "extra_passes", tuple(self.extra_passes))
        for name in ("k", "bank_size"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"`{name}` must be one of {allowed}. Received: {name}={getattr(self, name)!r}"
                )
        for name in ("weight", "lr_multiplier", "warmup", "pooled_weight"):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"`{name}` must be 0 or more. Received: {name}={getattr(self, name)!r}"
                )
        for name in ("temperature", "contrast_temperature", "k"):
            if getattr(self, name) <= 0:
                raise ValueError(
                    f"`{name}` must be positive. Received: {name}={getattr(self, name)!r}"
                )
        if self.bank_size <= self.k:
            raise ValueError(
                "`bank_size` must be above `k`. "
                f"Received: bank_size={self.bank_size!r}, k={self.k!r}"
            )
        if self.positives == "views":
            for name, only in (("images", "whole"), ("mirror", False), ("contrast", "infonce")):
                if getattr(self, name) != only:
                    raise ValueError(
                        f"`{name}` has no effect with positives='views': it belongs to the "
                        f"comparison with neighbours. Received: {name}={getattr(self, name)!r}"
                    )
        if self.mirror and self.images == "views":
            raise ValueError(
                "`mirror` needs images='whole': a view has no mirror image that the step has seen. "
                "Received: mirror=True, images='views'"
            )
        if self.positives == "neighbours" and not (self.detach_target and self.detach_features):
            raise ValueError(
                "`detach_target` and `detach_features` can be False with positives='views' only: "
                "neighbours are compared on features that no gradient reaches. Received: "
                f"detach_target={self.detach_target}, detach_features={self.detach_features}"
            )
        if unknown := set(self.extra_passes) - {"query", "key"}:
            raise ValueError(
                f"`extra_passes` may hold 'query' and 'key'. Received: {sorted(unknown)}"
            )

    @classmethod
    def paper(cls) -> "Rationale":
        """The paper's formulation: the GradCAM of the objective's own loss, under control.

        Two views of an image are the positive. The target keeps its heights, scaled to 0..1 for
        each image and softened by a temperature, with the sign that speaks for the positive; raw,
        it would be uniform, as `Rationale.reference()` is.
        """
        return cls(positives="views", target="cam", prior="none", temperature=0.4)

    @classmethod
    def reference(cls) -> "Rationale":
        """What the MoCo path of the authors' release computes.

        Raw GradCAM of relu(+g phi), softmax over rows at temperature 1, summed, weighted by 0.01,
        nothing detached, maps normalised over the batch. Its raw target is almost uniform; see the
        metric `target_entropy`. The release has 32 detectors.
        """
        return cls(
            weight=0.01,
            positives="views",
            target="cam",
            prior="none",
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

    @property
    def whole_images(self) -> bool:
        """Whether a step needs the whole images beside the two views."""
        return self.positives == "neighbours" and self.images == "whole"

    def target_of(self, cam):
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
        """The choices as a JSON-serialisable dict: `Rationale(**config)` gives them back."""
        return asdict(self) | {"extra_passes": list(self.extra_passes)}

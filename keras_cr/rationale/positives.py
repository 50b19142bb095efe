"""What the explained loss compares an image with: its nearest other images, or its views."""

from dataclasses import dataclass

from keras_cr._numbers import whole_number
from keras_cr.rationale.allowed import check_choices


@dataclass(frozen=True)
class Neighbours:
    """Positives are an image's nearest other images, on features that no gradient reaches.

    Args:
        k: number of neighbours; about a third of an image's kin in the bank, or fewer.
        bank_size: embeddings of earlier images that neighbours are looked for among.
        warmup: how often the bank is filled before maps pool the embeddings in it; averages until
            then.
        contrast: the loss that compares with neighbours: `"infonce"`, or `"similarity"`, minus the
            similarity to the positive alone: nothing is a negative.
        contrast_temperature: of the InfoNCE loss.
        images: what is compared: the `"whole"` images, as inference sees them, or the first of the
            `"views"` that is trained on, whose feature maps are there anyway: a forward pass less.
        mirror: whether the target is the mean of an image's and, flipped back, its mirror image's,
            for one forward pass more.
        background: how much of the similarity that backgrounds explain is taken off when
            neighbours are chosen: those with the largest `e.e' - background * s * relu(b.b')` are
            nearest. `b` is pooled from the cells along the map's border by what the rationale
            leaves of them, and seen from all backgrounds' mean; `s` is the slope of the
            least-squares line of `e.e'` over `relu(b.b')`, or 0. With 0 nothing is taken off.
        background_negatives: how much of it is added to the similarity of the InfoNCE's negatives,
            so that those on a like background weigh more.

    Raises:
        ValueError: an argument has a value that is not listed above, `bank_size` is not more than
            twice `k`, or `mirror` is wanted of views.
    """

    k: int = 10
    bank_size: int = 1024
    warmup: float = 2.0
    contrast: str = "infonce"
    contrast_temperature: float = 0.2
    images: str = "whole"
    mirror: bool = False
    background: float = 2.0
    background_negatives: float = 0.0

    def __post_init__(self):
        for name in ("k", "bank_size"):
            object.__setattr__(self, name, whole_number(name, getattr(self, name)))
        check_choices(self)
        if self.bank_size <= 2 * self.k:
            raise ValueError(
                "`bank_size` must be more than twice `k`, for positives and as many negatives. "
                f"Received: bank_size={self.bank_size!r}, k={self.k!r}"
            )
        if self.mirror and self.images == "views":
            raise ValueError(
                "`mirror` needs images='whole': a view has no mirror image that the step has seen. "
                "Received: mirror=True, images='views'"
            )

    def check_enough(self, argument: str, number: int) -> None:
        """Refuses fewer images than hold positives and as many negatives.

        Args:
            argument: that holds them, for the message.
            number: of them.

        Raises:
            ValueError: there are fewer.
        """
        if number <= 2 * self.k:
            raise ValueError(
                f"`{argument}` must be more than twice the {self.k} neighbours that make up a "
                f"positive. Received: {number} images; take more, or Neighbours(k=...)."
            )

    @property
    def by_background(self) -> bool:
        """Whether backgrounds are compared beside what the rationale marks."""
        return self.background > 0 or self.background_negatives > 0


@dataclass(frozen=True)
class Views:
    """Positives are the views of one image: the loss that is explained is the objective's own.

    Args:
        detach_target: whether the target is a constant. False lets the fit loss reach the feature
            map through the target's factor `phi`; the gradient factor is always a constant.
        detach_features: whether the fit loss stops at the branch. False lets it train the backbone.
        extra_passes: views (`"query"`, `"key"`) that go through the branch before the fit, only to
            move the running statistics of its batch normalisation.

    Raises:
        ValueError: `extra_passes` names another view.
    """

    detach_target: bool = True
    detach_features: bool = True
    extra_passes: tuple[str, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "extra_passes", tuple(self.extra_passes))
        check_choices(self)

"""Whether the rationale and the embedding are still worth training, in one line if not."""

import math
import operator
import os
import warnings
from collections.abc import Mapping
from pathlib import Path

from keras_cr.callbacks._history import add_row, read_history
from keras_cr.callbacks._monitor import Monitor

COLUMNS = (
    "target_entropy",
    "map_entropy",
    "agreement",
    "center_agreement",
    "embedding_std",
    "cam_peak",
    "fit_loss",
)
# The softmax of a raw GradCAM, whose peak is about .001, has 1.00 of a uniform target's entropy
# and teaches nothing; scaled to 0..1 first, it has .99 at temperature 1 and .91 at .4.
MAX_TARGET_ENTROPY = 0.995
# Weights this even give what average pooling gives: the branch adds nothing.
MAX_MAP_ENTROPY = 0.995
# Of 49 places two that share all weight have .18 and one has 0: less is a single place.
MIN_MAP_ENTROPY = 0.1
# A map that does not correlate with its target over the places of an image has not learnt it.
MIN_AGREEMENT = 0.0
# Things are photographed in the middle. A map that shuns it has turned to the background.
MIN_CENTER_AGREEMENT = 0.0
# A branch starts from random weights, so that both agreements are around 0 for some epochs.
WARMUP = 3
# About a cosine of .997 between any two images; an untrained ResNet's is .2 to .4.
MIN_EMBEDDING_STD = 0.05

_ADVICE = {
    "no target": "The explained loss' GradCAM is 0 everywhere: with neighbours as positives, fewer "
    "than twice their number of images are in the bank; train longer, or on more images.",
    "empty target": "The target is uniform and says nothing: use "
    "Rationale(target_normalization='image') and a lower `temperature`.",
    "flat map": "Its pooling is average pooling: look at target_entropy, for the branch learns no "
    "more than its target says.",
    "spike": "The map is a single place of the image: raise the rationale's `temperature`, or use "
    "larger images.",
    "map ignores target": "The branch has not learnt its target: raise the rationale's `weight` or "
    "the learning rate, and look at the pictures before you use the map.",
    "turned away": "The map shuns the middle of the images and may mark the background: look at "
    "the pictures, use Rationale(prior='center') or a smaller `k`.",
    "collapse": "All images have nearly the same embedding: lower the learning rate, and look at "
    "what the objective has against collapse.",
    "not finite": "Training has diverged: lower the learning rate, or clip gradients "
    "(`global_clipnorm` of the optimizer).",
    "nothing logged": "Put RationaleHealth into the `fit` of a pretrainer.",
}


class RationaleHealth(Monitor):
    """Records the health of a rationale's training, and says in one line what is wrong.

    It reads what a pretrainer logs. These are found, by the name of the verdict:

    - `no target`: `cam_peak` is 0, after `warmup` epochs; before, neighbours may be few yet.
    - `empty target`: `target_entropy` above `max_target_entropy`.
    - `flat map`, `spike`: `map_entropy` above `max_map_entropy` or below `min_map_entropy`.
    - `map ignores target`: `agreement` not above `min_agreement`, after `warmup` epochs.
    - `turned away`: `center_agreement` below `min_center_agreement`, after `warmup` epochs.
    - `collapse`: `embedding_std` below `min_embedding_std`.
    - `not finite`: one of the values is NaN or infinite.
    - `nothing logged`: there are no such values; the model is no pretrainer.

    The attribute `findings` holds a line for each kind of finding, from the first epoch it was met
    in; a resumed run reads those of its earlier epochs from `path`.

    Args:
        path: CSV file for a row an epoch: `epoch` (counted from 0, as in Keras' logs), the values
            (empty where they are not logged) and `verdict` (`ok`, or findings joined by `; `).
            Rows of earlier epochs are kept and later ones replaced. None writes nothing.
        tensorboard: TensorBoard's log folder, for `health/target_entropy` and so on at the same
            epochs; or None.
        every: epochs from one look to the next; the last epoch is always looked at.
        warn: whether to warn of a finding, once for each kind; a resumed run does not repeat it.
        max_target_entropy, max_map_entropy, min_map_entropy: relative to a uniform distribution's.
        min_agreement, min_center_agreement: correlations.
        min_embedding_std: relative to embeddings that are spread out evenly.
        warmup: epochs in which neither agreement is judged, nor that there is no target.

    Raises:
        ValueError: `every` is not a positive integer.
        ImportError: `tensorboard` is given and TensorBoard is missing.

    Example:

    >>> health = RationaleHealth("runs/birds/health.csv")
    >>> pretrainer.fit(views, epochs=100, callbacks=[health])
    >>> health.findings
    []
    """

    def __init__(
        self,
        path: str | os.PathLike | None = None,
        tensorboard: str | os.PathLike | None = None,
        every: int = 1,
        warn: bool = True,
        max_target_entropy: float = MAX_TARGET_ENTROPY,
        max_map_entropy: float = MAX_MAP_ENTROPY,
        min_map_entropy: float = MIN_MAP_ENTROPY,
        min_agreement: float = MIN_AGREEMENT,
        min_center_agreement: float = MIN_CENTER_AGREEMENT,
        min_embedding_std: float = MIN_EMBEDDING_STD,
        warmup: int = WARMUP,
    ) -> None:
        super().__init__(every, tensorboard)
        self.path = None if path is None else Path(path)
        self.warn = warn
        self.max_target_entropy = max_target_entropy
        self.max_map_entropy, self.min_map_entropy = max_map_entropy, min_map_entropy
        self.min_agreement, self.warmup = min_agreement, warmup
        self.min_center_agreement = min_center_agreement
        self.min_embedding_std = min_embedding_std
        self._found: dict[str, str] | None = None

    @property
    def findings(self) -> list[str]:
        """A line for each kind of finding, in the order they were met."""
        return list((self._found or {}).values())

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._found = None

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        if self._found is None:
            self._found = {}
            self._recall(epoch)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if not self.due(epoch):
            return
        values = {name: float(logs[name]) for name in COLUMNS if name in (logs or {})}
        found = self._judge(epoch, values)
        for kind, line in found.items():
            if self.warn and kind not in self._found:
                warnings.warn(line, stacklevel=2)
            self._found.setdefault(kind, line)
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            cells = {name: values.get(name, "") for name in COLUMNS}
            add_row(self.path, {"epoch": epoch, **cells, "verdict": "; ".join(found) or "ok"})
        self.writer.scalars({f"health/{name}": v for name, v in values.items()}, epoch)

    def _recall(self, first_epoch: int) -> None:
        """Finds again what the epochs before a resumed run's first one had."""
        for row in read_history(self.path) if self.path else ():
            if (epoch := int(row["epoch"])) < first_epoch:
                values = {name: float(row[name]) for name in COLUMNS if row[name]}
                for kind, line in self._judge(epoch, values).items():
                    self._found.setdefault(kind, line)

    def _judge(self, epoch: int, values: Mapping[str, float]) -> dict[str, str]:
        """What is wrong with an epoch's values: lines by kind."""
        checks = {
            "empty target": ("target_entropy", operator.gt, self.max_target_entropy),
            "flat map": ("map_entropy", operator.gt, self.max_map_entropy),
            "spike": ("map_entropy", operator.lt, self.min_map_entropy),
            "map ignores target": ("agreement", operator.le, self.min_agreement),
            "turned away": ("center_agreement", operator.lt, self.min_center_agreement),
            "collapse": ("embedding_std", operator.lt, self.min_embedding_std),
        }
        if epoch < self.warmup:
            del checks["map ignores target"], checks["turned away"]
        facts = {}
        if values.get("cam_peak") == 0:  # there is nothing that could be uniform
            del checks["empty target"]
            if epoch >= self.warmup:
                facts["no target"] = "cam_peak is 0"
        for kind, (name, wrong, limit) in checks.items():
            if wrong(values.get(name, math.nan), limit):  # a comparison with NaN is false
                facts[kind] = f"{name} is {values[name]:.4g}, limit {limit:.4g}"
        if names := [name for name, value in values.items() if not math.isfinite(value)]:
            facts["not finite"] = ", ".join(names)
        if not values:
            facts["nothing logged"] = f"the logs have none of {', '.join(COLUMNS)}"
        return {
            kind: f"epoch {epoch + 1}: {kind} ({fact}). {_ADVICE[kind]}"
            for kind, fact in facts.items()
        }

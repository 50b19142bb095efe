"""Pretext: nothing but what auxiliary tasks teach."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_cr._types import Batch
from keras_cr.models import CommonRationaleEncoder
from keras_cr.pretraining.auxiliary.task import AuxiliaryTask
from keras_cr.pretraining.outcome import Outcome, View
from keras_cr.pretraining.pretrainer import Pretrainer
from keras_cr.rationale import Rationale

DEFAULT_RATIONALE = Rationale()


@keras.saving.register_keras_serializable(package="keras_cr")
class Pretext(Pretrainer):
    """Auxiliary tasks alone, without a loss of its own: `ssl_loss` is 0.

    Args:
        encoder: the `CommonRationaleEncoder` to train.
        rationale: how the branch is trained; `None` trains the tasks alone.
        auxiliary: the tasks.
        **kwargs: as for `Pretrainer`.

    Raises:
        ValueError: there is no task.

    Example:

    >>> Pretext(encoder, auxiliary=[Rotation(), Puzzling(weight=0.5)])
    """

    views = ("query",)
    explained = ()

    def __init__(
        self,
        encoder: CommonRationaleEncoder,
        rationale: Rationale | None = DEFAULT_RATIONALE,
        auxiliary: Sequence[AuxiliaryTask] = (),
        **kwargs: Any,
    ) -> None:
        if not auxiliary:
            raise ValueError(
                "`auxiliary` must hold the tasks that Pretext is to learn, such as [Rotation()]: "
                f"it has no loss of its own. Received: auxiliary={auxiliary!r}"
            )
        super().__init__(encoder, rationale, auxiliary=auxiliary, **kwargs)

    def objective(
        self, student: dict[str, View], teacher: dict[str, View], batch: Batch
    ) -> Outcome:
        return Outcome(ops.zeros((), "float32"))

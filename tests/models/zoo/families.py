"""Every case of the zoo, in the order of the table in docs/backbones.md."""

from tests.models.zoo.applications import APPLICATIONS
from tests.models.zoo.cv import KERAS_CV
from tests.models.zoo.hub import KERAS_HUB

CASES = [*KERAS_HUB, *KERAS_CV, *APPLICATIONS]

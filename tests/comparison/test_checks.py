"""Arms that can't run, or are another under another name, are refused before one runs."""

import pytest

from keras_cr.comparison.arms import ARMS, Arm, arm_of
from keras_cr.data import synthetic_birds
from tests.comparison.test_compare import prepare


@pytest.mark.parametrize(
    ("arms", "told"),
    [
        (("rationale", "paper:objective=barlow_twins"), "paper_obj.* can't run.*of BarlowTwins"),
        (("rationale", "rationale:swapped=query+small"), "can't run. `swapped` must name views"),
        (("plain", "plain:batch_size=100"), "plain_batch-size-100 can't run. `batch_size` must"),
        (("rationale", "rationale:foregrounds=on"), "rationale and rationale_foregrounds-on are"),
        (("rationale:swapped=query+key", "rationale:swapped=key+query"), "the same run"),
        (("rationale", "rationale:pooling=rationale_vlad"), "the same run"),
        (("posthoc", "posthoc:foregrounds=off,objective=byol"), "are the same run"),
        (("initialization", "initialization:learning_rate=1"), "are the same run"),
    ],
)
def test_arms_that_can_not_run_or_do_not_differ_are_refused_before_one_runs(arms, told, tmp_path):
    birds = synthetic_birds(3, train_per_class=8, test_per_class=4, image_size=48, seed=1)
    arms = tuple(arm_of(arm) for arm in arms)
    with pytest.raises(ValueError, match=told):
        prepare(tmp_path / "out", lambda data_dir: birds, arms)


def test_an_arm_that_starts_from_no_backbone_is_refused_before_one_runs(tmp_path):
    birds = synthetic_birds(3, train_per_class=8, test_per_class=4, image_size=48, seed=1)
    (tmp_path / "broken.keras").write_bytes(b"no model")
    broken = Arm("broken", "Broken", {"init": str(tmp_path / "broken.keras")})
    with pytest.raises(ValueError, match="`arms`: broken can't run.*broken.keras"):
        prepare(tmp_path / "out", lambda data_dir: birds, (ARMS["plain"], broken))


def test_arms_that_differ_in_what_counts_may_run(tmp_path):
    birds = synthetic_birds(3, train_per_class=8, test_per_class=4, image_size=48, seed=1)
    names = ("posthoc", "posthoc:pooling=rationale", "posthoc:background=0", "initialization")
    names += ("plain", "plain:learning_rate=0.1", "rationale", "rationale:fit_every=2")
    assert prepare(tmp_path / "out", lambda _: birds, tuple(map(arm_of, names)), (0,)).first

"""Health: each kind of finding, said once, written down, and found again by a resumed run."""

import math
import warnings

import keras
import pytest

from keras_cr.callbacks import RationaleHealth
from keras_cr.callbacks._history import read_history
from tests.callbacks.helpers import begin, read_events

GOOD = {
    "target_entropy": 0.9,
    "map_entropy": 0.8,
    "agreement": 0.4,
    "center_agreement": 0.5,
    "embedding_std": 0.9,
    "cam_peak": 0.001,
    "fit_loss": 0.3,
}


def watch(health, *epochs, first=0, total=10):
    """Runs epochs that log GOOD with these changes; returns the warnings' texts."""
    begin(health, keras.Model(), total)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for epoch, change in enumerate(epochs, start=first):
            health.on_epoch_begin(epoch)
            health.on_epoch_end(epoch, {"loss": 3.0} | GOOD | change)
    health.on_train_end()
    return [str(warning.message) for warning in caught]


def test_a_bank_that_is_not_full_yet_is_no_empty_target():
    """Nothing is explained until it holds neighbours: all targets are 0, and so uniform."""
    unfilled = {"cam_peak": 0.0, "target_entropy": 1.0}
    assert watch(RationaleHealth(), unfilled, unfilled, {}, {}) == []
    told = watch(RationaleHealth(), *4 * [unfilled])
    assert len(told) == 1
    assert told[0].startswith("epoch 4: no target (cam_peak is 0)")
    assert watch(RationaleHealth(), {"target_entropy": 1.0})[0].startswith("epoch 1: empty target")


@pytest.mark.parametrize(
    ("name", "wrong", "right", "kind"),
    [
        ("target_entropy", 0.996, 0.994, "empty target"),
        ("map_entropy", 1.0, 0.99, "flat map"),
        ("map_entropy", 0.05, 0.15, "spike"),
        ("agreement", 0.0, 0.01, "map ignores target"),
        ("center_agreement", -0.01, 0.01, "turned away"),
        ("embedding_std", 0.04, 0.06, "collapse"),
        ("fit_loss", math.nan, 9.0, "not finite"),
        ("cam_peak", 0.0, 1e-6, "no target"),
    ],
)
def test_each_finding(tmp_path, name, wrong, right, kind):
    health = RationaleHealth(tmp_path / "new" / "health.csv")
    told = watch(health, {}, {}, {}, {name: right}, {name: wrong}, {name: wrong}, {})
    assert len(told) == 1, "once a kind"
    assert told[0].startswith(f"epoch 5: {kind} (")
    assert name in told[0]
    assert health.findings == told
    rows = read_history(tmp_path / "new" / "health.csv")
    assert list(rows[0]) == ["epoch", *GOOD, "verdict"]
    assert [row["verdict"] for row in rows] == ["ok"] * 4 + [kind] * 2 + ["ok"]
    assert [int(row["epoch"]) for row in rows] == list(range(7))
    assert float(rows[3][name]) == right


def test_a_young_branch_is_not_asked_to_agree_and_limits_can_be_changed():
    young = [{"agreement": -0.2}] * 3
    assert watch(RationaleHealth(), *young) == []
    assert "epoch 2: map ignores target" in watch(RationaleHealth(warmup=1), *young)[0]
    assert watch(RationaleHealth(min_agreement=-0.5, warmup=0), *young) == []
    assert "limit 0.85" in watch(RationaleHealth(max_target_entropy=0.85), {})[0]


def test_findings_without_warnings_and_several_at_once(tmp_path):
    health = RationaleHealth(tmp_path / "health.csv", warn=False)
    assert watch(health, {"target_entropy": 1.0, "map_entropy": 1.0, "embedding_std": 0.0}) == []
    assert [line.split(" (")[0] for line in health.findings] == [
        "epoch 1: empty target",
        "epoch 1: flat map",
        "epoch 1: collapse",
    ]
    verdict = read_history(tmp_path / "health.csv")[0]["verdict"]
    assert verdict == "empty target; flat map; collapse"


def test_what_is_not_logged_is_left_empty_and_nothing_at_all_is_told(tmp_path):
    health = begin(RationaleHealth(tmp_path / "health.csv"), keras.Model())
    health.on_epoch_begin(0)
    health.on_epoch_end(0, {"embedding_std": 0.5})  # a plain objective
    with pytest.warns(UserWarning, match="nothing logged.*fit.*of a pretrainer"):
        health.on_epoch_end(1, {"loss": 1.0})
    rows = read_history(tmp_path / "health.csv")
    assert [row["verdict"] for row in rows] == ["ok", "nothing logged"]
    assert (rows[0]["embedding_std"], rows[0]["map_entropy"]) == ("0.5", "")


def test_a_resumed_run_writes_what_an_uncut_one_does(tmp_path):
    epochs = [{}, {"map_entropy": 1.0}, {}, {"embedding_std": 0.0}]
    whole = RationaleHealth(tmp_path / "whole.csv", warn=False)
    watch(whole, *epochs)
    watch(RationaleHealth(tmp_path / "cut.csv", warn=False), *epochs[:2], {"agreement": 0.1})
    resumed = RationaleHealth(tmp_path / "cut.csv")
    told = watch(resumed, {"map_entropy": 1.0}, epochs[3], first=2)
    assert [line.split(" (")[0] for line in told] == ["epoch 4: collapse"], "no finding twice"
    watch(resumed, *epochs[2:], first=2)
    assert (tmp_path / "cut.csv").read_text() == (tmp_path / "whole.csv").read_text()
    assert resumed.findings == whole.findings
    watch(resumed, {})
    assert resumed.findings == [], "a new run begins anew"
    assert len(read_history(tmp_path / "cut.csv")) == 1


def test_every_so_many_epochs_and_to_tensorboard(tmp_path):
    path, logs = tmp_path / "health.csv", tmp_path / "logs"
    watch(RationaleHealth(path, logs, every=2), *[{"agreement": e / 10} for e in range(5)], total=5)
    assert [int(row["epoch"]) for row in read_history(path)] == [1, 3, 4]
    events = read_events(logs)
    assert set(events) == {f"health/{name}" for name in GOOD}
    assert [step for step, _ in events["health/agreement"]] == [1, 3, 4]
    assert [float(v) for _, v in events["health/agreement"]] == pytest.approx([0.1, 0.3, 0.4])

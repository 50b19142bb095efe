"""Arms and options that are given as text."""

import pytest

from keras_cr.comparison.arms import ARMS, Arm, arm_of
from keras_cr.comparison.compare import main
from keras_cr.experiment import Settings
from keras_cr.rationale.options import typed_options


def test_a_name_is_the_arm_itself():
    assert arm_of("paper") is ARMS["paper"]


def test_an_arm_with_things_changed():
    arm = arm_of("posthoc:prior=none,k=5,num_detectors=4,learning_rate=1e-3")
    assert arm.name == "posthoc_prior-none_k-5_num-detectors-4_learning-rate-1e-3"
    assert arm.title == (
        "Rationale fitted to the initialization, prior none, k 5, num detectors 4, "
        "learning rate 1e-3"
    )
    assert arm.changes == {
        **ARMS["posthoc"].changes,
        "rationale_options": {"prior": "none", "k": 5},
        "num_detectors": 4,
        "learning_rate": 1e-3,
    }
    assert arm_of("plain:skip_bad=true").changes["skip_bad"] is True
    assert arm_of("posthoc:output_stride=none").changes["output_stride"] is None
    assert "rationale_options" not in arm_of("posthoc:batch_size=8").changes


def test_a_choice_of_the_rationale_comes_before_a_setting_of_that_name():
    assert arm_of("rationale:temperature=0.3").changes["rationale_options"] == {"temperature": 0.3}


def test_folders_differ_where_values_do():
    texts = ["init=a/b", "init=a-b", "init=A-b", f"init={'x' * 60}", f"init={'x' * 61}"]
    names = [arm_of(f"plain:{text}").name for text in texts]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) < 64
    assert names[1] == "plain_init-a-b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plainest:k=1", r"invalid choice: 'plainest' \(choose from initialization, posthoc"),
        ("posthoc:", "posthoc:: must be NAME=VALUE.*Received: ''"),
        ("posthoc:k", "must be NAME=VALUE with commas between"),
        ("posthoc:k=1,k=2", "each name once"),
        ("posthoc:kk=1", "posthoc:kk=1: kk: neither a choice of a rationale nor a setting"),
        ("posthoc:k=many", "`k` must be a whole number. Received: k='many'"),
        ("posthoc:k=0", "`k` must be a positive integer. Received: k=0"),
        ("posthoc:temperature=warm", "`temperature` must be a number"),
        ("posthoc:temperature=inf", "`temperature` must be a number"),
        ("posthoc:mirror=2", "`mirror` must be true or false"),
        ("plain:k=3", "--rationale-options has no effect with --rationale off"),
        ("plain:optimizer=adam", "--optimizer can't be 'adam'; choose from sgd, adamw, lars"),
        ("plain:epochs=some", "--epochs can't be 'some'"),
        ("plain:epochs=-1", "--epochs must be 0 or more"),
        ("plain:skip_bad=2", "--skip-bad can't be '2'"),
        ("plain:seed=3", "`changes` of 'plain_seed-3' may hold .*Received: seed"),
        ("plain:validation_fraction=0.3", "Received: validation_fraction"),
    ],
)
def test_mistakes_name_the_arm_and_what_is_wrong(text, message):
    with pytest.raises(ValueError, match=message) as error:
        arm_of(text)
    assert "\n" not in str(error.value)


def test_options_have_the_types_of_their_choices():
    given = {"weight": 2, "sign": "-1", "extra_passes": "query+key", "detach_target": "true"}
    options = typed_options(given)
    assert options == {
        "weight": 2.0,
        "sign": -1,
        "extra_passes": ["query", "key"],
        "detach_target": True,
    }
    assert isinstance(options["weight"], float)
    assert typed_options(options) == options
    for wrong in ({"k": 2.5}, {"k": True}, {"prior": 1}, {"extra_passes": 3}, {"weight": None}):
        with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be"):
            typed_options(wrong)


def test_the_program_tells_them_in_a_line(capsys):
    recipes = {"birds": {"read": lambda data_dir: None}}
    for flags, told in (
        (("--arms", "posthoc:k=0"), "argument --arms: posthoc:k=0: --rationale-options: `k` must"),
        (("--rationale-options", "k=3"), "--rationale-options: the arms differ in them: --arms"),
        (("--help",), "posthoc:prior=none,k=5"),
    ):
        with pytest.raises(SystemExit):
            main("What it compares.", recipes, list(flags))
        told_by = capsys.readouterr()
        assert told in " ".join((told_by.out + told_by.err).split())


def test_arms_made_by_hand_may_hold_options():
    arm = Arm("cold", "Cold", {"rationale": "on", "rationale_options": {"temperature": 0.1}})
    assert Settings(**arm.changes).rationale_options == {"temperature": 0.1}

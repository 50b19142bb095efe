"""The runner of benchmarks makes one table of what they tell, whatever becomes of some of them."""

import json
import operator
import textwrap
from functools import partial

import pytest

from benchmarks.process import Process
from benchmarks.program import optional
from benchmarks.retrieval import benchmark as retrieval
from benchmarks.rows import NotMeasured, Row
from benchmarks.runner import benchmarks, run, title
from benchmarks.timing import Times, growth, interleaved

HEAD = '''
"""Measures nothing of use."""
from benchmarks.program import main, optional
from benchmarks.rows import Row
from benchmarks.timing import interleaved

def benchmark(count: int = 3):
'''
BODIES = {
    "fast": """
        times = interleaved({"list": lambda: list(range(count)), "sum": lambda: sum([1])}, 3)
        yield times.row("list", "list", 1e-3, "ms", against="sum", goal="<= 1e9")
        yield Row("count", count, goal=">= 8")
    """,
    "broken": """
        yield Row("before it broke", 7)
        raise ValueError("out of order")
    """,
    "lacking": """
        optional("no_such_package")
        yield Row("never")
    """,
    "endless": """
        yield Row("begun", 1)
        import time
        time.sleep(600)
    """,
}


@pytest.fixture
def folder(tmp_path):
    for name, body in BODIES.items():
        code = HEAD + textwrap.indent(textwrap.dedent(body), "    ")
        tail = '\nif __name__ == "__main__":\n    main(benchmark)\n'
        (tmp_path / f"{name}.py").write_text(code.lstrip() + tail)
    (tmp_path / "no_benchmark.py").write_text("def helper():\n    pass\n")
    return tmp_path


def test_a_table_is_made_of_those_that_can_be_measured(folder, tmp_path):
    found = benchmarks(folder)
    assert set(found) == set(BODIES)
    output = tmp_path / "told"
    chosen = {name: found[name] for name in ("broken", "fast", "lacking")}
    run(chosen, output, timeout=60, flags=["--count", "5"])
    result = json.loads((output / "speed.json").read_text())
    told = {name: one["rows"] for name, one in result["benchmarks"].items()}
    assert result["machine"]["cores"] >= 1
    assert told["fast"][0]["met"]
    assert told["fast"][0]["low"] <= told["fast"][0]["value"] <= told["fast"][0]["high"]
    assert (told["fast"][1]["value"], told["fast"][1]["met"]) == (5, False)
    assert told["broken"][0]["value"] == 7
    assert "failed" in told["broken"][1]["note"]
    assert "ValueError: out of order" in told["broken"][1]["note"]
    assert told["lacking"][0]["note"] == "not measured: no_such_package is not installed"
    assert [name for name, one in result["benchmarks"].items() if one["failed"]] == ["broken"]
    table = (output / "speed.md").read_text()
    assert "| fast | count | 5 |" in table
    assert "Goals met: 1 of 2." in table


def test_results_are_joined_and_what_takes_too_long_is_stopped(folder, tmp_path):
    found, output = benchmarks(folder), tmp_path / "told"
    with pytest.raises(ValueError, match="no results to join"):
        run({}, output, timeout=60, join=True)
    run({"fast": found["fast"]}, output, timeout=60)
    result = run({"endless": found["endless"]}, output, timeout=15, join=True)
    assert set(result["benchmarks"]) == {"fast", "endless"}
    assert [row["what"] for row in result["benchmarks"]["endless"]["rows"]] == ["begun", "endless"]
    assert "stopped after 15 s" in result["benchmarks"]["endless"]["rows"][1]["note"]
    stored = json.loads((output / "speed.json").read_text())
    stored["machine"]["processor"] = "another"
    (output / "speed.json").write_text(json.dumps(stored))
    with pytest.raises(ValueError, match="another machine"):
        run({}, output, timeout=60, join=True)
    for damaged in ("[]", "{}", '{"machine": null}', '{"machine": {}', '{"machine": {}}'):
        (output / "speed.json").write_text(damaged)
        with pytest.raises(ValueError, match=r"speed.json is damaged, or no benchmarks' results"):
            run({}, output, timeout=60, join=True)


def test_an_output_that_can_t_be_written_is_told_first(folder, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="output: .* can't be written"):
        run({"fast": benchmarks(folder)["fast"]}, tmp_path / "file", timeout=60)


def test_every_benchmark_has_a_title_and_runs_alone():
    for name, path in benchmarks().items():
        assert title(path).endswith("."), name
        assert f"python benchmarks/{name}.py" in path.read_text(), name


def test_rows_of_a_tiny_retrieval():
    rows = list(retrieval(images=(60,), channels=8, classes=4, repeats=1))
    ratios = [row.ratio for row in rows if row.against == "product"]
    assert len(ratios) == 1
    assert ratios[0] > 0


def test_ratios_are_of_medians_and_works_take_turns():
    times = Times(ours=[1.0, 2.0, 9.0], theirs=[4.0, 4.0, 5.0])
    assert times.ratio("ours", "theirs") == 0.5
    assert times.rate("n", "ours", 10, "images/s", against="theirs").ratio == 2
    assert times.row("n", "ours", 1e-3, "ms").value == 2000
    calls = []
    interleaved({name: lambda name=name: calls.append(name) for name in "ab"}, 2, warm_up=1)
    assert calls == list("ababab")


def test_growth_is_the_slope_of_logarithms():
    assert growth([1, 2, 4, 8], [3, 12, 48, 192]).slope == pytest.approx(2)
    assert growth([1, 2, 4], [5, 5, 5]).slope == pytest.approx(0)


def test_a_goal_is_of_the_ratio_where_there_is_one():
    assert Row("a", 5.0, ratio=1.01, goal="<= 1.02").met()
    assert Row("a", 5.0, goal="<= 1.02").met() is False
    assert Row("a", goal="<= 1.02").met() is None


def test_works_of_another_process():
    works = {"length": partial(len, "four"), "fails": partial(operator.truediv, 1, 0)}
    with Process(dict, works) as other:
        assert other.names == ["length", "fails"]
        assert other.work("length")() == 4
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            other.work("fails")()
    with pytest.raises(NotMeasured, match="no_such_package"):
        Process(optional, "no_such_package")


@pytest.mark.parametrize("arm", ["plain", "paper"])
def test_pytorchs_moco_computes_what_ours_does(arm):
    torch = pytest.importorskip("torch")
    from benchmarks import steps
    from benchmarks.torch_moco import MoCo, ResNet
    from keras_cr.conversion.convert import load_torchvision_weights
    from keras_cr.models import ResNet as OurResNet

    torch.manual_seed(0)
    theirs = MoCo(lambda: ResNet((1, 1), width=8), arm == "paper", queue_size=32)
    backbone = OurResNet((1, 1), bottleneck=False, width=8, seed=0)
    ours = steps.moco(backbone, arm, queue_size=32)
    kept = ("conv", "bn", "layer")
    weights = {n: v.numpy() for n, v in theirs.trained[0].state_dict().items()}
    weights = {n: v for n, v in weights.items() if n.startswith(kept) and "tracked" not in n}
    for network in (ours.encoder.backbone, ours.twin.backbone):
        load_torchvision_weights(network, weights)
    linears = [each.detach().numpy() for each in theirs.trained[1].parameters()]
    for head in (ours.heads["project"], ours.twin.heads["project"]):
        head.set_weights([each.T if each.ndim == 2 else each for each in linears])
    ours.queue.features.assign(theirs.queue.numpy())
    if arm == "paper":
        kernel = theirs.branch.conv.weight.detach().numpy().transpose(2, 3, 1, 0)
        ours.encoder.branch.detectors.kernel.assign(kernel)
    batch = steps.batch(4, 64)
    views = [torch.from_numpy(batch[name].numpy().transpose(0, 3, 1, 2)) for name in batch]
    for _ in range(3):  # the later ones after updates of weights, twin and queue
        own = ours.train_on_batch(batch, return_dict=True)["loss"]
        assert theirs.step(*views[:2]) == pytest.approx(float(own), rel=2e-4)

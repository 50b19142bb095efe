"""README.md on the Hub: what a preset's page says, made from its manifest and its card."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from keras_cr._metrics import Headline, shown_in
from keras_cr.presets.backbone_source import BackboneSource
from keras_cr.presets.schema import NOT_MEASURED, NOT_STATED
from keras_cr.presets.text import in_line, number

if TYPE_CHECKING:
    from keras_cr.presets.registry import Card

PAPER = "https://arxiv.org/abs/2303.01669"
_TAGS = ["keras", "keras_cr", "self-supervised", "fine-grained", "image-retrieval"]
_LICENCES = {"Apache-2.0": "apache-2.0", "MIT": "mit", "CC-BY-4.0": "cc-by-4.0"}  # the Hub's names


def headline(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The few numbers of a run's metrics.json that a card holds, with their protocol.

    Args:
        metrics: in the layout of metrics.json, or of a preset's manifest.

    Returns:
        `retrieval`, `linear_probe`, `knn`, `localization`, the same under `average_pooling`, and
        `protocol`; only what was measured. Empty without a protocol.
    """
    protocol = metrics.get("protocol")
    if not isinstance(protocol, Mapping):
        return {}

    def groups(scores: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for metric in shown_in("card"):
            if (value := metric.of(scores)) is not None:
                found.setdefault(metric.protocol, {})[metric.keys[-1]] = round(value, 4)
        return found

    fields = ("dataset", "images", "classes", "image_size", "pooling", "seed", "checkpoint_rule")
    average = metrics.get("average_pooling")
    measured = groups(metrics) | {
        "average_pooling": groups(average) if isinstance(average, Mapping) else {}
    }
    measured = {name: value for name, value in measured.items() if value}
    if not measured:
        return {}
    return measured | {"protocol": {name: protocol[name] for name in fields if name in protocol}}


def model_card(
    manifest: Mapping[str, Any], card: "Card | None", repo: str | None, revision: str | None = None
) -> str:
    """The text of a published preset's README.md.

    Args:
        manifest: the preset's preset.json.
        card: its card, or None.
        repo: "org/name"; None where it is loaded by its name alone.
        revision: the tag or commit that the text tells people to load.

    Returns:
        Markdown behind a YAML header with the Hub's metadata; in it, as `model-index`, what was
        measured and nothing else.
    """
    from huggingface_hub import ModelCardData

    known = card.__dict__ if card else {}
    measured = known.get("metrics") or headline(manifest.get("metrics") or {}) or NOT_MEASURED
    licence = known.get("licence") or manifest.get("licence") or NOT_STATED
    title = in_line(known.get("title") or manifest.get("name") or repo or NOT_STATED)
    results = [] if measured == NOT_MEASURED else _eval_results(measured)  # type: ignore[arg-type]
    data = ModelCardData(
        library_name="keras",
        pipeline_tag="image-feature-extraction",
        license=_LICENCES.get(licence, "other"),
        tags=_TAGS,
        **({"model_name": title, "eval_results": results} if results else {}),  # type: ignore[arg-type]
    )
    handle = f"hf://{repo}" if repo else manifest.get("name")
    handle += f"@{revision}" if revision else ""
    name = str(manifest.get("class", "")).removeprefix("keras_cr>")
    model, output = ("classifier", "probabilities") if "Class" in name else ("encoder", "embedding")
    source, recipe = manifest.get("source") or {}, known.get("recipe") or {}
    data_card = known.get("data") or {}
    elsewhere = BackboneSource.of(manifest.get("backbone"))
    text = [
        "---",
        data.to_yaml().strip(),
        "---",
        "",
        f"# {title}",
        "",
        in_line(known.get("description") or f"A {name} preset of keras_cr."),
        "",
        "```python",
        "import keras_cr",
        "",
        f'{model} = keras_cr.{name}.from_preset("{handle}")',
        f"{output} = {model}(images)  # images: RGB 0..255, (B, H, W, 3)",
        "```",
        "",
        "Every file is checked by the sha256 in `preset.json` before the model is built.",
        "",
        "## How it was made",
        "",
        *_pairs(
            {
                "method": known.get("paper", PAPER),
                "backbone": known.get("backbone"),
                "backbone's weights, not in this repository": elsewhere and elsewhere.pinned_handle,
                "data": data_card.get("name"),
                "command": _code(recipe.get("command") or source.get("command")),
                "seed": source.get("seed"),
                "date": known.get("date") or source.get("date"),
                "keras_cr": manifest.get("keras_cr"),
                "Keras": manifest.get("keras"),
                "parameters": manifest.get("parameters"),
            }
        ),
        "",
        "## What was measured",
        "",
        *(["Not measured."] if measured == NOT_MEASURED else _table(measured)),  # type: ignore[arg-type]
        "",
        "## Use, limits, licences",
        "",
        *_pairs(
            {
                "intended use": known.get("intended_use") or NOT_STATED,
                "limits": known.get("limits") or NOT_STATED,
                "licence of the weights": licence,
                "licence of the backbone": elsewhere and (elsewhere.licence or NOT_STATED),
                "licence of the data": data_card.get("licence") or NOT_STATED,
            }
        ),
        "",
        "The method: Shu, van den Hengel, Liu, *Learning Common Rationale to Improve "
        "Self-Supervised Representation for Fine-Grained Visual Recognition Problems*, CVPR 2023 "
        f"([arXiv 2303.01669]({PAPER})).",
    ]
    return "\n".join(text) + "\n"


def _eval_results(measured: Mapping[str, Any]) -> list:
    from huggingface_hub import EvalResult

    dataset = in_line(measured["protocol"].get("dataset") or NOT_STATED)
    return [
        EvalResult(
            task_type="image-feature-extraction",
            dataset_type=dataset.lower().replace(" ", "_"),
            dataset_name=dataset,
            dataset_split="test",
            metric_type=metric.hub,  # type: ignore[arg-type]
            metric_name=metric.name,
            metric_value=value,
        )
        for metric in shown_in("card")
        if (value := metric.of(measured)) is not None
    ]


def _table(measured: Mapping[str, Any]) -> list[str]:
    protocol, average = measured["protocol"], measured.get("average_pooling", {})

    def shown(scores: Mapping[str, Any], metric: Headline) -> str:
        if (value := metric.of(scores)) is None:
            return "-"
        return number(metric, value)

    rows = [
        f"| {metric.name} | {shown(measured, metric)} | {shown(average, metric)} |"
        for metric in shown_in("card")
        if metric.of(measured) is not None
    ]
    told = "; ".join(f"{name.replace('_', ' ')}: {in_line(v)}" for name, v in protocol.items())
    own = in_line(protocol.get("pooling", "rationale"))
    head = [f"| test images | {own} | average pooling |", "| --- | --- | --- |"]
    return [*head, *rows, "", told]


def _pairs(values: Mapping[str, Any]) -> list[str]:
    return [f"- {name}: {in_line(value)}" for name, value in values.items() if value is not None]


def _code(text: object) -> str | None:
    return None if text is None else f"`{str(text).replace('`', '')}`"

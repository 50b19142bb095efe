"""A run: read, check, evaluate, pretrain, evaluate again, store."""

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path

import keras

from keras_cr._progress import announce
from keras_cr._text import encodable_output, plain_warnings, printable
from keras_cr.callbacks import RationaleHealth
from keras_cr.data import (
    Augmentation,
    FineGrainedDataset,
    check_images,
    image_batches,
)
from keras_cr.data.cache import check_cache
from keras_cr.evaluation import (
    Evaluation,
    add_controls,
    evaluate_features,
    extract,
    format_table,
)
from keras_cr.experiment.build import (
    backbone_name,
    build_encoder,
    build_pretrainer,
    build_rationale,
    check_objective,
    with_precision,
)
from keras_cr.experiment.callbacks import (
    Checkpoint,
    load_state,
    monitors,
    state_path,
)
from keras_cr.experiment.ending import in_one_line
from keras_cr.experiment.flags import parse_settings, told_in_flags
from keras_cr.experiment.folder import open_output, output_path, run_mark, source_of
from keras_cr.experiment.outputs import write_foregrounds, write_numbers, write_pictures
from keras_cr.experiment.settings import Settings
from keras_cr.experiment.stored import stored_name, taken_message
from keras_cr.models import CommonRationaleEncoder
from keras_cr.presets import HubError, publish, store_path
from keras_cr.presets.publish import check_writable
from keras_cr.pretraining import Pretrainer, Rationale, fit_rationale, pretrain
from keras_cr.pretraining.loop import maps_path
from keras_cr.rationale.branch_fit import MAX_IMAGES
from keras_cr.rationale.foregrounds import read_maps

CHECKPOINT_RULE = "the last epoch, fixed before training"
ReadDataset = Callable[[str | None], FineGrainedDataset]


@dataclasses.dataclass
class Run:
    """A run that can start: everything a user could have got wrong has been checked.

    Made by `Run.prepare`, carried out by `run.execute()`.
    """

    settings: Settings
    dataset: FineGrainedDataset
    skipped: list[str]
    encoder: CommonRationaleEncoder
    name: str
    output: Path
    watching: list[keras.callbacks.Callback]
    augmentation: Augmentation | None = None
    store: bool = True
    mark: str | None = None

    @classmethod
    def prepare(
        cls,
        settings: Settings,
        read: ReadDataset,
        build_backbone: Callable[[], keras.Model] | None = None,
        augmentation: Augmentation | None = None,
        store: bool = True,
    ) -> "Run":
        """Reads the images, checks them, builds the encoder and opens the output folder.

        Args:
            settings: of the run.
            read: takes `settings.data_dir` and returns the data set.
            build_backbone: makes a backbone of the caller's own, in place of `settings.backbone`.
            augmentation: of the views; None takes the objective's own.
            store: whether the result goes to the local store, where its name finds it; a name that
                another run has there gets a number, unless `settings.overwrite`.

        Raises:
            ValueError: `output` holds another run, or can't be resumed with these settings; a
                batch is larger than the training set; `init` can't be loaded; `monitor_every`, the
                objective or a task needs labels and there are none; the objective has no loss that
                `rationale` could explain; `cache` can't be written or is too large.
            UnreadableImageError: an image can't be read and `skip_bad` is off.
            OSError: the data or the initial weights are not there; the local store can't be
                written to.
            ImportError: `tensorboard` is set and TensorBoard is missing.
            HubError: `publish` is set and this user can't publish there.
        """
        keras.utils.set_random_seed(settings.seed)
        name = settings.preset_name or f"{settings.dataset}_{backbone_name(settings)}"
        store_path(name)  # a name that can't be stored is refused before anything else
        if settings.publish:
            check_writable(settings.publish)
        dataset = read(settings.data_dir)
        if settings.validation_fraction:  # the test images are not even opened
            dataset = dataset.hold_out(settings.validation_fraction)
        dataset, skipped = check_images(
            dataset, skip_bad=settings.skip_bad, max_pixels=settings.max_pixels
        )
        if settings.epochs and settings.batch_size > (images := int(dataset.is_train.sum())):
            raise ValueError(
                f"`batch_size` must be at most the number of training images, {images} in "
                f"{dataset.name!r}. Received: {settings.batch_size}"
            )
        if settings.epochs:
            check_cache(dataset.split("train"), settings.cache)
            check_objective(settings, dataset.split("train"))
        build_rationale(settings, int(dataset.is_train.sum()))  # for its errors
        encoder = build_encoder(settings, build_backbone)
        output = output_path(settings, name)
        watching = monitors(settings, dataset.split("train"), output) if settings.epochs else []
        mark = run_mark(output, settings)
        if store:  # for its errors
            stored_name(name, mark, settings.overwrite)
        open_output(output, settings, mark)
        return cls(
            settings, dataset, skipped, encoder, name, output, watching, augmentation, store, mark
        )

    def execute(self) -> dict:
        """Evaluates, pretrains, evaluates again and stores.

        The folder `output` gets `history.csv`, `health.csv`, `rationales/`, `rationales.png`,
        `foregrounds.png` (where maps cut), `report.html`, `report.md`, `per_image.csv`,
        `metrics.csv`, `metrics.json`, `preset/` and `checkpoints/` beside the `config.json` that is
        there; the local store gets the preset under its name, if `store` says so.

        Returns:
            What metrics.json holds.
        """
        settings, dataset, output = self.settings, self.dataset, self.output
        if self.skipped:
            skipped = ", ".join(map(printable, self.skipped[:3]))
            print(f"Skipped {len(self.skipped)} unreadable images: {skipped}")
        name = self._name()
        train = dataset.split("train")
        print(f"{dataset.name}: {len(train)} training images, {len(dataset) - len(train)} others")
        announce("Evaluating the encoder before training.")
        before = after = self._evaluate(self.encoder, with_controls=not self.trains)
        encoder = self._train(train)
        if self.trains:
            announce("Evaluating the trained encoder.")
            after = self._evaluate(encoder, with_controls=True)
        metrics = after.metrics | {"initialization": before.metrics}

        announce("Writing the preset, pictures and the report.")
        encoder = with_precision(encoder, "float32")
        source = source_of(settings) | {"config": settings.of_the_run(), "run": self.mark}
        details = {"source": source, "metrics": metrics}
        encoder.save_to_preset(output / "preset", name=name, **details)
        if self.store:
            name = self._name(told=name)  # another run may have taken it meanwhile
            encoder.save_to_preset(store_path(name), name=name, **details)
        source = source_of(settings)
        if self.watching:
            health = next(each for each in self.watching if isinstance(each, RationaleHealth))
            source["health"] = "; ".join(health.findings) or "no findings"
        write_pictures(output, settings, before, after, source)
        write_numbers(output, after, metrics)  # metrics.json last: a run that has it is whole
        print(format_table({"initialization": before.metrics, "trained": after.metrics}))
        stored = name if self.store else str(output / "preset")
        print(f"Wrote {output}. Load the encoder with from_preset({stored!r}).")
        if settings.publish:
            self._publish()
        return metrics

    def _name(self, told: str | None = None) -> str:
        """The preset's name in the store now; says so where it isn't `told` or the one wanted."""
        if not self.store:
            return self.name
        name = stored_name(self.name, self.mark, self.settings.overwrite)
        if name != (told or self.name):
            print(told_in_flags(taken_message(self.name, name)))
        return name

    def _publish(self) -> None:
        """Publishes what is in the folder already; nothing of the run depends on it.

        Raises:
            HubError: it failed; the message says how to try again.
        """
        folder = self.output / "preset"
        announce(f"Publishing {folder} to {self.settings.publish}.")
        try:
            published = publish(folder, self.settings.publish)
        except HubError as error:
            again = shlex.join(
                ["keras-cr", "presets", "publish", str(folder), self.settings.publish]
            )
            raise type(error)(f"{error} The run is whole; publish it later: {again}") from error
        print(f"Published {published.handle}; its card gets it by `keras-cr presets register`.")

    @property
    def trains(self) -> bool:
        """Whether anything is trained: without epochs, the branch alone, if it is wanted."""
        return self.settings.epochs > 0 or self.settings.rationale == "on"

    def _evaluate(self, encoder: CommonRationaleEncoder, with_controls: bool) -> Evaluation:
        settings = self.settings
        features = extract(encoder, self.dataset, settings.image_size, settings.batch_size)
        controls = settings.controls if with_controls and encoder.pooling != "average" else None
        if controls:  # of an encoder that averages there is no rationale to compare
            features = add_controls(features, controls, settings.seed)
        evaluation = evaluate_features(features, settings.protocols, settings.seed, CHECKPOINT_RULE)
        evaluation.metrics["protocol"]["skipped_images"] = len(self.skipped)
        evaluation.metrics["protocol"]["controls"] = list(settings.controls or ())
        return evaluation

    def _train(self, train: FineGrainedDataset) -> CommonRationaleEncoder:
        settings = self.settings
        if settings.epochs == 0:
            if settings.rationale == "on":
                self._fit_branch(self.encoder, train, build_rationale(settings, len(train)))
            return self.encoder
        steps = len(train) // settings.batch_size
        if settings.resume and state_path(self.output).is_file():
            pretrainer = load_state(self.output)
            first_epoch = int(pretrainer.optimizer.iterations) // steps
        else:
            pretrainer, first_epoch = build_pretrainer(settings, self.encoder, train), 0
        if first_epoch < settings.epochs:
            pretrain(
                pretrainer,
                train,
                settings.image_size,
                settings.batch_size,
                settings.epochs,
                first_epoch=first_epoch,
                seed=settings.seed,
                augmentation=self.augmentation,
                cache=settings.cache,
                callbacks=[*self.watching, Checkpoint(self.output)],
                folder=state_path(self.output).parent,
            )
        self._draw_foregrounds(pretrainer, train)
        if settings.refits:
            self._fit_branch(pretrainer.encoder, train, pretrainer.rationale)
        return pretrainer.encoder

    def _draw_foregrounds(self, pretrainer: Pretrainer, train: FineGrainedDataset) -> None:
        """Draws the objects as the views of the last epochs had them cut out."""
        maps = read_maps(maps_path(state_path(self.output).parent))
        if maps is not None and maps.size:
            foregrounds = pretrainer.rationale.foregrounds
            path = self.output / "foregrounds.png"
            write_foregrounds(path, train, maps, foregrounds, self.settings.image_size)

    def _fit_branch(
        self, encoder: CommonRationaleEncoder, train: FineGrainedDataset, rationale: Rationale
    ) -> None:
        """Fits the branch to the backbone as it is now."""
        announce("Fitting the rationale to the backbone as it is.")
        settings = self.settings
        shown = train.spread(MAX_IMAGES)
        images = image_batches(shown, settings.image_size, settings.batch_size)
        fit_rationale(encoder, images, rationale, seed=settings.seed)


def run(settings: Settings, read: ReadDataset, **options) -> dict:
    """Pretrains an encoder on images alone and stores it as a preset.

    Arguments and errors are those of `Run.prepare`; returns what metrics.json holds.
    """
    return Run.prepare(settings, read, **options).execute()


def main(
    description: str,
    read: ReadDataset,
    build_backbone: Callable[[], keras.Model] | None = None,
    augmentation: Augmentation | None = None,
    **defaults,
) -> dict:
    """A recipe's whole program: flags, run, and mistakes told in one line.

    Args:
        description: the recipe's docstring, shown by `--help`.
        read: as for `Run.prepare`.
        build_backbone: as for `Run.prepare`.
        augmentation: as for `Run.prepare`.
        **defaults: the recipe's settings, by the names of `Settings`.
    """
    encodable_output()
    settings = parse_settings(description, **defaults)
    with in_one_line(ValueError, OSError, ImportError), plain_warnings():
        prepared = Run.prepare(settings, read, build_backbone, augmentation)
    output = shlex.quote(str(prepared.output))
    with in_one_line(HubError, OSError, way_on=f"`resume` `output` {output}"):
        return prepared.execute()

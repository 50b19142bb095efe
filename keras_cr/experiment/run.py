"""A run: read, check, evaluate, pretrain, evaluate again, store."""

import dataclasses
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import keras

from keras_cr._files import check_place
from keras_cr._progress import announce
from keras_cr._text import printable
from keras_cr.callbacks import RationaleHealth
from keras_cr.data import (
    Augmentation,
    FineGrainedDataset,
    check_images,
)
from keras_cr.data.cache import check_cache
from keras_cr.evaluation import (
    CONTROLS,
    Evaluation,
    add_controls,
    evaluate_features,
    extract,
    format_table,
)
from keras_cr.experiment.build import (
    backbone_name,
    build_encoder,
    check_images_suffice,
    decided,
)
from keras_cr.experiment.callbacks import monitors
from keras_cr.experiment.devices import scope
from keras_cr.experiment.flags import told_in_flags
from keras_cr.experiment.folder import open_output, output_path, run_mark, source_of
from keras_cr.experiment.outputs import write_numbers, write_pictures
from keras_cr.experiment.settings import Settings
from keras_cr.experiment.space import check_space
from keras_cr.experiment.stored import stored_name, taken_message
from keras_cr.experiment.training import fit_missing_vocabulary, train_encoder
from keras_cr.models import CommonRationaleEncoder
from keras_cr.presets import HubError, PresetError, publish, store_path
from keras_cr.presets.publish import check_writable
from keras_cr.rationale.start import with_precision

CHECKPOINT_RULE = "the last epoch, fixed before training"
ReadDataset = Callable[[str | None], FineGrainedDataset]


@dataclasses.dataclass
class Run:
    """A run that can start: everything a user could have got wrong has been checked.

    Made by `Run.prepare`, carried out by `run.execute()`.

    Attributes:
        settings: of the run.
        dataset: its images, those that can be read.
        skipped: names of those that can't.
        encoder: the encoder, not trained yet.
        name: under which the preset is stored.
        output: the folder, which is open.
        watching: callbacks of the training.
        augmentation: of the views; None: the objective's own.
        store: whether the preset goes to the local store.
        mark: what marks the run's name as its own there.
        lock: of the folder, held until the run ends.
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
    lock: filelock.FileLock | None = None

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
                batch is larger than the training set, or does not divide by the devices; `init`
                can't be loaded; `monitor_every`, the objective or a task needs labels and there are
                none; the objective has no loss that `rationale` could explain; `cache` can't be
                written or is too large.
            UnreadableImageError: an image can't be read and `skip_bad` is off.
            OSError: the data or the initial weights are not there; `output` or the local store
                can't be written to, or there is less space than the run needs.
            ImportError: `tensorboard` is set and TensorBoard is missing.
            HubError: `publish` is set and this user can't publish there.
        """
        keras.utils.set_random_seed(settings.seed)
        name = settings.preset_name or f"{settings.dataset}_{backbone_name(settings)}"
        try:  # a name that can't be stored is refused before anything else
            store_path(name)
        except PresetError as error:
            told = str(error).removeprefix("name must be ")
            raise ValueError(f"`preset_name` must be {told}") from error
        output = output_path(settings, name)
        mark = run_mark(output, settings)  # and so is a folder that no run can go on in
        check_place("`output`", output, output)
        if settings.publish:
            check_writable(settings.publish)
        dataset = read(settings.data_dir)
        if settings.validation_fraction:  # the test images are not even opened
            dataset = dataset.hold_out(settings.validation_fraction)
        dataset, skipped = check_images(
            dataset, skip_bad=settings.skip_bad, max_pixels=settings.max_pixels
        )
        train = dataset.split("train")
        check_images_suffice(settings, train)
        if settings.epochs:
            check_cache(train, settings.cache)
        with scope(settings):
            encoder = build_encoder(settings, build_backbone)
        watching = monitors(settings, train, output) if settings.epochs else []
        if store:  # for its errors
            stored_name(name, mark, settings.overwrite)
        check_space(settings, encoder, train, output, store_path(name) if store else None)
        left_open = decided(settings, encoder, len(train))
        lock = open_output(output, settings, mark, dataset, left_open)
        return cls(
            settings,
            dataset,
            skipped,
            encoder,
            name,
            output,
            watching,
            augmentation,
            store,
            mark,
            lock,
        )

    def execute(self) -> dict:
        """Evaluates, pretrains, evaluates again and stores.

        The folder `output` gets `history.csv`, `health.csv`, `rationales/`, `rationales.png`,
        `foregrounds.png` (where maps cut), `report.html`, `report.md`, `per_image.csv`,
        `metrics.csv`, `metrics.json`, `preset/` and `checkpoints/` beside the `config.json` that is
        there; the local store gets the preset under its name, if `store` says so.

        Returns:
            What metrics.json holds.

        Raises:
            DivergedError: the training diverged; what was kept before it did is whole.
            KeyboardInterrupt: of Ctrl-C or SIGTERM; a training keeps its state first.
        """
        try:
            return self._execute()
        finally:
            if self.lock is not None:
                self.lock.release()

    def _execute(self) -> dict:
        settings, dataset, output = self.settings, self.dataset, self.output
        if self.skipped:
            skipped = ", ".join(map(printable, self.skipped[:3]))
            skipped += ", ..." if len(self.skipped) > 3 else ""
            print(f"Skipped {len(self.skipped)} unreadable or too small images: {skipped}")
        name = self._name()
        train = dataset.split("train")
        print(f"{dataset.name}: {len(train)} training images, {len(dataset) - len(train)} others")
        announce("Evaluating the encoder before training.")
        fit_missing_vocabulary(settings, self.encoder, train)
        before = after = self._evaluate(self.encoder, with_controls=not self.trains)
        encoder = train_encoder(
            settings, self.encoder, train, output, self.watching, self.augmentation
        )
        if self.trains:
            announce("Evaluating the trained encoder.")
            after = self._evaluate(encoder, with_controls=True)
        metrics = after.metrics | {"initialization": before.metrics}

        announce("Writing the preset, pictures and the report.")
        encoder = with_precision(encoder, "float32")
        config = settings.of_the_run()
        if settings.init not in ("none", "imagenet"):  # `backbone` was not looked at
            config["backbone"] = encoder.backbone.name
        source = source_of(settings) | {"config": config, "run": self.mark}
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
            published = publish(folder, self.settings.publish)  # type: ignore[arg-type]
        except HubError as error:
            again = shlex.join(
                ["keras-cr", "presets", "publish", str(folder), self.settings.publish]  # type: ignore[list-item]
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
        wanted = (settings.controls or ()) if with_controls else ()
        lacking = {f"control {name}": CONTROLS[name].missing(self.dataset) for name in wanted}
        if encoder.pooling != "average":
            features = add_controls(features, wanted, settings.seed) if wanted else features
        elif wanted:
            lacking = {"controls": "an average has no rationale that they could be compared with"}
        evaluation = evaluate_features(features, settings.protocols, settings.seed, CHECKPOINT_RULE)
        stated = evaluation.metrics["protocol"]
        stated["skipped_images"] = len(self.skipped)
        stated["controls"] = list(features.controls)
        stated["missing"] |= {name: reason for name, reason in lacking.items() if reason}
        return evaluation


def run(settings: Settings, read: ReadDataset, **options: Any) -> dict:
    """Pretrains an encoder on images alone and stores it as a preset.

    Args:
        settings: of the run.
        read: takes `settings.data_dir` and returns the data set.
        **options: as for `Run.prepare`.

    Returns:
        What metrics.json holds.

    Raises:
        ValueError, UnreadableImageError, OSError: as `Run.prepare`.
    """
    return Run.prepare(settings, read, **options).execute()

"""Evaluation of frozen encoders: what they retrieve, what can be read from them, where they look.

Nothing here sees a test image before the choices are made: the checkpoint is fixed by the caller,
every k, regularisation and threshold is chosen on train.
"""

from keras_cr.attribution import center_prior
from keras_cr.evaluation.boxes import box_iou, foreground_boxes, map_boxes
from keras_cr.evaluation.clustering import clustering
from keras_cr.evaluation.controls import CONTROLS, add_controls
from keras_cr.evaluation.embed import Embedder, Embeddings, embed
from keras_cr.evaluation.evaluate import Evaluation, evaluate, evaluate_features
from keras_cr.evaluation.features import Features, extract
from keras_cr.evaluation.few_label import few_label
from keras_cr.evaluation.knn import knn
from keras_cr.evaluation.linear_probe import linear_probe
from keras_cr.evaluation.localization import box_thresholds, localization
from keras_cr.evaluation.nearest import nearest
from keras_cr.evaluation.paired import paired_bootstrap, spread
from keras_cr.evaluation.parts import Parts, read_embeddings
from keras_cr.evaluation.per_image import read_per_image, write_per_image
from keras_cr.evaluation.protocols import DEFAULT_PROTOCOLS, PROTOCOLS
from keras_cr.evaluation.records import records, write_records
from keras_cr.evaluation.report import write_markdown, write_report
from keras_cr.evaluation.retrieval import retrieval, retrieval_per_query
from keras_cr.evaluation.sgd_probe import sgd_probe
from keras_cr.evaluation.table import format_table

__all__ = [
    "CONTROLS",
    "DEFAULT_PROTOCOLS",
    "PROTOCOLS",
    "Embedder",
    "Embeddings",
    "Evaluation",
    "Features",
    "Parts",
    "add_controls",
    "box_iou",
    "box_thresholds",
    "center_prior",
    "clustering",
    "embed",
    "evaluate",
    "evaluate_features",
    "extract",
    "few_label",
    "foreground_boxes",
    "format_table",
    "knn",
    "linear_probe",
    "localization",
    "map_boxes",
    "nearest",
    "paired_bootstrap",
    "read_embeddings",
    "read_per_image",
    "records",
    "retrieval",
    "retrieval_per_query",
    "sgd_probe",
    "spread",
    "write_markdown",
    "write_per_image",
    "write_records",
    "write_report",
]

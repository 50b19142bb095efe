"""Evaluation of frozen encoders: what they retrieve, what can be read from them, where they look.

Nothing here sees a test image before the choices are made: k and the checkpoint are fixed by the
caller, the linear probe's regularisation is chosen on a held-out part of train.
"""

from keras_cr.evaluation.embed import Embedder, Embeddings, embed
from keras_cr.evaluation.evaluate import evaluate
from keras_cr.evaluation.knn import knn
from keras_cr.evaluation.linear_probe import linear_probe
from keras_cr.evaluation.localization import center_prior, localization
from keras_cr.evaluation.report import write_report
from keras_cr.evaluation.retrieval import retrieval
from keras_cr.evaluation.table import format_table

__all__ = [
    "Embedder",
    "Embeddings",
    "center_prior",
    "embed",
    "evaluate",
    "format_table",
    "knn",
    "linear_probe",
    "localization",
    "retrieval",
    "write_report",
]

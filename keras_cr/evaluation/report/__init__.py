"""Reports of an evaluation: `report.html` to look at, `report.md` for a pull request."""

from keras_cr.evaluation.report.markdown import write_markdown
from keras_cr.evaluation.report.write import write_report

__all__ = ["write_markdown", "write_report"]

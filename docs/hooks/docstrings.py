"""What the package's docstrings hold beyond Google's sections, in Markdown (a Griffe extension).

Keras' docstrings have `Input shape:` and `Output shape:`, and examples with prompts that are not
indented. Griffe would make boxes of the first and quotations of the second.
"""

import re
import textwrap

import griffe

_TITLED = re.compile(
    r"^(Input shape|Output shape|Call arguments|Example):\n((?:\n|[ ]{4}.*\n?)*)", re.MULTILINE
)
_PROMPTS = re.compile(r"^>>> .*\n?(?:^(?:>>>|\.\.\.)(?: .*)?\n?)*", re.MULTILINE)


class Docstrings(griffe.Extension):
    def on_object(self, *, obj: griffe.Object, **_) -> None:
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(docstring: str) -> str:
    """A docstring whose titles are bold and whose prompts are fenced."""
    text = _TITLED.sub(lambda m: f"**{m[1]}**\n\n{textwrap.dedent(m[2])}", docstring)
    return _PROMPTS.sub(lambda m: f"```python\n{_without_prompts(m[0])}\n```\n", text)


def _without_prompts(lines: str) -> str:
    return "\n".join(line[4:] for line in lines.splitlines())

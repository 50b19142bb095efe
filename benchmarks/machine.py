"""The machine that figures were measured on."""

from pathlib import Path
from typing import Any

from keras_cr._versions import installed_versions
from keras_cr.experiment.surroundings import surroundings

_SETS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "neon", "asimd", "sve")
_PACKAGES = ("keras", "tensorflow", "numpy", "scikit-learn", "jax", "torch", "faiss-cpu")


def machine() -> dict[str, Any]:
    """Processor, cores, instruction sets, versions, and the commit of the checkout."""
    found = surroundings()
    return {
        **found["machine"],
        "instruction_sets": _instruction_sets(),
        "versions": found["versions"] | installed_versions(*_PACKAGES),
        "commit": found["commit"],
    }


def describe(found: dict[str, Any]) -> str:
    """A machine in a sentence."""
    versions = ", ".join(
        f"{name} {version}" for name, version in found["versions"].items() if version
    )
    cards = f", {', '.join(found['gpus'])}" if found["gpus"] else ""
    return (
        f"{found['processor']}, {found['cores']} cores{cards} "
        f"({', '.join(found['instruction_sets'])}); {found['system']}; {versions}; "
        f"oneDNN {'on' if found['onednn'] == '1' else found['onednn']}; commit {found['commit']}."
    )


def _instruction_sets() -> list[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return [each for each in _SETS if each in flags.partition(":")[2].split()]

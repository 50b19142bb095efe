"""Runs all benchmarks of speed, and writes one table.

python -m benchmarks                                  # about ten minutes on two idle cores
python -m benchmarks --only retrieval start           # some of them
python -m benchmarks --only train_step --join         # renews theirs in the table that is there
"""

import argparse
import sys
from pathlib import Path

import keras_cr._environment  # noqa: F401  # oneDNN on, in the benchmarks' processes too
from benchmarks.runner import benchmarks, report, run, title


def main() -> int:
    found = benchmarks()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=found, metavar="NAME", default=list(found))
    parser.add_argument("--list", action="store_true", help="tell the benchmarks' names, run none")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("runs/benchmarks"), help="default: %(default)s"
    )
    parser.add_argument(
        "--join", action="store_true", help="keep other results found in the output"
    )
    parser.add_argument("--timeout", type=float, default=300, help="seconds for each; %(default)s")
    args = parser.parse_args()
    if args.list:
        for name, path in found.items():
            print(f"{name:15} {title(path)}")
        return 0
    try:
        result = run(
            {name: found[name] for name in args.only}, args.output, args.timeout, join=args.join
        )
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(report(result))
    print(f"Written: {args.output / 'speed.md'} and speed.json", file=sys.stderr)
    return 1 if any(result["benchmarks"][name]["failed"] for name in args.only) else 0


if __name__ == "__main__":
    sys.exit(main())

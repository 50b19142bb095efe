"""What claims about speed rest on: `python -m benchmarks` runs all, each module runs alone."""

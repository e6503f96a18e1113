"""Speed beside peers: ``python -m benchmarks [eager|…]`` prints tables of medians and ratios, measured in one
run with the same weights."""

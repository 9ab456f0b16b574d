"""Prints the sets of up to so many features, a line each, with commas; `none` is the empty one."""

import itertools
import sys
import tomllib

with open("Cargo.toml", "rb") as file:
    manifest = tomllib.load(file)["features"]
features = sorted(manifest.keys() - {"default"})
for size in range(min(int(sys.argv[1]), len(features)) + 1):
    for chosen in itertools.combinations(features, size):
        # With one that another brings along, it is the set without that one.
        brought = {name for feature in chosen for name in manifest[feature]}
        if not brought & set(chosen):
            print(",".join(chosen) or "none")

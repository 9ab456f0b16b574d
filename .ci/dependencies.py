"""Holds every locked dependency against deny.toml and against the Rust version that the package promises.

Reads `cargo metadata --format-version 1` on standard input. cargo-deny does more (advisories, duplicates), but takes longer
to build than all checks of this project together: it is a step of .ci/long, and a job of CI. This needs only Python.
"""

import json
import re
import sys
import tomllib


def main():
    with open("deny.toml", "rb") as file:
        deny = tomllib.load(file)
    licences = set(deny["licenses"]["allow"])
    registries = {f"registry+{url}" for url in deny["sources"]["allow-registry"]}
    packages = json.load(sys.stdin)["packages"]
    promised = next(p["rust_version"] for p in packages if p["name"] == "tower-upstream")

    problems = []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        licence = package["license"] or ""
        if not is_allowed(licence, licences):
            problems.append(f"{name}: licence {licence or 'not told'} is not in deny.toml")
        if package["source"] not in registries | {None}:
            problems.append(f"{name}: source {package['source']} is not in deny.toml")
        # All of ours have a path, which is what deny.toml's allow-wildcard-paths is for.
        if package["source"] is None:
            wild = [it["name"] for it in package["dependencies"] if it["req"] == "*" and not it.get("path")]
            problems.extend(f"{name}: takes any version of {it}" for it in wild)
        if version(package["rust_version"] or "1.0") > version(promised):
            problems.append(f"{name}: needs Rust {package['rust_version']}, Cargo.toml promises {promised}")
    print(*problems, f"{len(packages)} packages looked at, {len(problems)} problems", sep="\n")
    sys.exit(bool(problems))


def is_allowed(expression, allowed):
    """Whether an SPDX expression is met by the allowed licences; `/` is an old way to write OR."""
    expression = re.sub(r"\s+WITH\s+", "-WITH-", expression.replace("/", " OR "))
    words = re.findall(r"[()]|[^\s()]+", expression)
    keywords = {"AND": "and", "OR": "or", "(": "(", ")": ")"}
    return bool(words) and eval(" ".join(keywords.get(word) or str(word in allowed) for word in words))


def version(text):
    return [int(part) for part in (text.split(".") + ["0"])[:2]]


main()

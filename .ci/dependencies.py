#!/usr/bin/env python3
"""Checks licences and duplicates of what the published crates are built with.

The lists are those of deny.toml, so that this and cargo-deny agree. Platforms that are not this
one's count too.
"""

import collections
import re
import sys
import tomllib

from graph import ROOT, Graph


def permitted(expression, allowed):
    """Whether a licence expression can be met by what is allowed."""
    # `MIT/Apache-2.0` is how it was written before SPDX.
    expression = re.sub(r"\s*/\s*", " OR ", expression)
    expression = re.sub(r"(\S+) WITH (\S+)", r"\1+WITH+\2", expression)
    tokens = re.findall(r"[()]|[^\s()]+", expression)

    def either():
        value = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            value |= both()
        return value

    def both():
        value = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            value &= one()
        return value

    def one():
        token = tokens.pop(0)
        if token == "(":
            value = either()
            tokens.pop(0)
            return value
        return token.replace("+WITH+", " WITH ") in allowed

    return either()


def main():
    settings = tomllib.loads((ROOT / "deny.toml").read_text())
    allowed = set(settings["licenses"]["allow"])
    skipped = {entry["crate"] for entry in settings["bans"]["skip"]}
    graph = Graph()
    reached = [graph.packages[id] for id in graph.reached(graph.published())]
    problems = []
    versions = collections.defaultdict(set)
    for package in reached:
        name = f"{package['name']}@{package['version']}"
        if not package["license"]:
            problems.append(f"{name} states no licence")
        elif not permitted(package["license"], allowed):
            problems.append(f"{name} has the licence {package['license']}, which deny.toml does not allow")
        if package["source"] not in (None, "registry+https://github.com/rust-lang/crates.io-index"):
            problems.append(f"{name} comes from {package['source']}")
        if name not in skipped:
            versions[package["name"]].add(package["version"])
    unused = skipped - {f"{package['name']}@{package['version']}" for package in reached}
    problems += [f"deny.toml skips {name}, which is not there" for name in sorted(unused)]
    for name, found in sorted(versions.items()):
        if len(found) > 1:
            problems.append(f"{name} is built in {len(found)} versions: {', '.join(sorted(found))}")
    assert not permitted("GPL-3.0 AND (MIT OR Apache-2.0)", allowed)
    assert permitted("(GPL-3.0 OR MIT/Apache-2.0) AND ISC", allowed)
    print("\n".join(problems) or f"{len(reached)} packages: licences and versions are in order")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())

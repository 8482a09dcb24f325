#!/usr/bin/env python3
"""Checks what each published crate would upload, without building it.

Metadata that the registry shows; licences and a README in the package; nothing beside sources,
tests and what they read; links of the README that work away from the repository.
"""

import json
import re
import subprocess
import sys

from graph import ROOT, Graph

# The registry's limits.
KEYWORDS = 5
CATEGORIES = 5
# Its own is 10 MiB; ours are far below, and a file that slips in should be seen.
MOST_BYTES = 2 << 20
MADE_BY_CARGO = {".cargo_vcs_info.json", "Cargo.lock", "Cargo.toml", "Cargo.toml.orig"}
ALWAYS = {"LICENSE-APACHE", "LICENSE-MIT", "README.md"}
FOLDERS = {"src", "tests", "ui", "benches", "examples"}
# A program's package holds what its users copy.
BESIDE = {"samlare": {"Dockerfile", "samlare.service", "sample-config.toml"}}
LINK = re.compile(r"\]\(([^)\s]+)")


def listed(name):
    command = ["cargo", "package", "--list", "--allow-dirty", "-q", "-p", name]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return set(told.split("\n")) - {""}


def problems(package):
    name = package["name"]
    for field in ("description", "license", "repository", "readme", "rust_version", "keywords", "categories"):
        if not package[field]:
            yield f"has no {field}"
    if len(package["keywords"]) > KEYWORDS or len(package["categories"]) > CATEGORIES:
        yield "has too many keywords or categories"
    for keyword in package["keywords"]:
        if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_+-]{0,19}", keyword):
            yield f"has the keyword {keyword}, which the registry refuses"
    folder = ROOT / package["manifest_path"].removesuffix("/Cargo.toml")
    files = listed(name)
    for missing in sorted(ALWAYS - files):
        yield f"packs no {missing}"
    known = MADE_BY_CARGO | ALWAYS | BESIDE.get(name, set())
    for file in sorted(files - known):
        if file.split("/")[0] not in FOLDERS:
            yield f"packs {file}"
    size = sum((folder / file).stat().st_size for file in files if (folder / file).is_file())
    if size > MOST_BYTES:
        yield f"packs {size} bytes"
    for license in ("LICENSE-APACHE", "LICENSE-MIT"):
        if (folder / license).read_bytes() != (ROOT / license).read_bytes():
            yield f"has another {license} than the workspace"
    readme = (folder / package["readme"]).resolve()
    for link in LINK.findall(readme.read_text()):
        if not re.match(r"https?://|#", link):
            yield f"links to {link} in its README, which is dead on the registry's page"
    # Who publishes needs the versions of its own crates, not only their paths.
    for need in package["dependencies"]:
        if need.get("path") and need["kind"] != "dev" and need["req"] == "*":
            yield f"depends on {need['name']} without a version"


def main():
    graph = Graph()
    published = sorted((graph.packages[id] for id in graph.published()), key=lambda it: it["name"])
    found = [f"{package['name']} {problem}" for package in published for problem in problems(package)]
    print("\n".join(found) or f"{', '.join(it['name'] for it in published)}: in order")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())

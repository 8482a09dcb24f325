#!/usr/bin/env python3
"""Prints what a crate is built from, as a CycloneDX 1.5 bill of materials.

`.ci/sbom.py samlare --target x86_64-unknown-linux-musl`. With the target it lists what is built for
that; without, for any. The same input gives the same bytes.
"""

import argparse
import json
import sys
import tomllib

from graph import ROOT, Graph


def reference(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksums, kind="library"):
    told = {
        "type": kind,
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
        "purl": reference(package),
        "scope": "required",
    }
    if package["license"]:
        told["licenses"] = [{"expression": package["license"].replace(" / ", " OR ").replace("/", " OR ")}]
    if package["description"]:
        told["description"] = package["description"].strip()
    if checksum := checksums.get((package["name"], package["version"])):
        told["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["repository"]:
        told["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return told


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("crate")
    arguments.add_argument("--target")
    options = arguments.parse_args()
    graph = Graph(options.target)
    roots = [id for id in graph.published() if graph.packages[id]["name"] == options.crate]
    if not roots:
        sys.exit(f"{options.crate} is none of the published crates")
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    checksums = {(it["name"], it["version"]): it.get("checksum") for it in locked}
    reached = graph.reached(roots)
    packages = sorted((graph.packages[id] for id in reached - set(roots)), key=reference)
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(graph.packages[roots[0]], checksums, "application")},
        "components": [component(package, checksums) for package in packages],
        "dependencies": [
            {
                "ref": reference(graph.packages[id]),
                "dependsOn": sorted({reference(graph.packages[need]) for need in graph.needs[id]}),
            }
            for id in sorted(reached, key=lambda id: reference(graph.packages[id]))
        ],
    }
    json.dump(bill, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()

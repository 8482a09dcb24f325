"""What the published crates are built with, from `cargo metadata`."""

import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Graph:
    """Packages by id, and which others each is built with. Development dependencies do not count."""

    def __init__(self, target=None):
        command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features"]
        if target:
            command += ["--filter-platform", target]
        told = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
        self.packages = {package["id"]: package for package in told["packages"]}
        self.needs = {
            node["id"]: [
                need["pkg"]
                for need in node["deps"]
                if any(kind["kind"] != "dev" for kind in need["dep_kinds"])
            ]
            for node in told["resolve"]["nodes"]
        }
        self.members = set(told["workspace_members"])

    def published(self):
        """The ids of the crates that are published."""
        return {id for id in self.members if self.packages[id]["publish"] is None}

    def reached(self, roots):
        """Everything that some crates are built with, themselves included."""
        found, waiting = set(), list(roots)
        while waiting:
            id = waiting.pop()
            if id not in found:
                found.add(id)
                waiting += self.needs[id]
        return found

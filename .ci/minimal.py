#!/usr/bin/env python3
"""Builds the published crates with the oldest dependencies that their manifests allow.

Development dependencies must not count, since a user does not have them: the crates are copied to
target/minimal without them and resolved there. Needs a nightly cargo, or RUSTC_BOOTSTRAP=1.
"""

import os
import pathlib
import re
import shutil
import subprocess
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
TO = ROOT / "target" / "minimal"
# samlare is a program with a lock file of its own and no library for others.
SKIPPED = {"samlare"}
# Tables that only tests, examples and benches use.
DEVELOPMENT = re.compile(r"dev-dependencies|^\[(test|bench|example)")


def sections(manifest):
    """The manifest's tables, each with its header line."""
    return re.split(r"(?m)^(?=\[)", manifest)


def without_development(manifest):
    kept = []
    for section in sections(manifest):
        header = section.partition("\n")[0].lstrip("[")
        if not DEVELOPMENT.search("[" + header):
            kept.append(section)
    return "".join(kept)


def published():
    members = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]
    for member in members:
        manifest = (ROOT / member / "Cargo.toml").read_text()
        package = tomllib.loads(manifest)["package"]
        if package.get("publish") is not False and package["name"] not in SKIPPED:
            yield member, manifest


def main():
    crates = list(published())
    for member, manifest in crates:
        to = TO / member
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(ROOT / member, to, ignore=shutil.ignore_patterns("tests", "fuzz", "target"))
        (to / "Cargo.toml").write_text(without_development(manifest))
    names = ", ".join(f'"{member}"' for member, _ in crates)
    workspace = (ROOT / "Cargo.toml").read_text()
    workspace = re.sub(r"(?m)^members = \[[^\]]*\]", f"members = [{names}]", workspace)
    workspace = re.sub(r"(?m)^exclude = .*\n", "", workspace)
    (TO / "Cargo.toml").write_text(workspace)
    (TO / "Cargo.lock").unlink(missing_ok=True)
    environment = os.environ | {"RUSTC_BOOTSTRAP": "1"}
    for command in (
        ["cargo", "generate-lockfile", "-q", "-Z", "direct-minimal-versions"],
        ["cargo", "check", "-q", "--workspace", "--all-features"],
    ):
        subprocess.run(command, cwd=TO, env=environment, check=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Builds the published crates with the oldest Rust and dependencies that their manifests allow.

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
    for path in sorted(path for member in members for path in ROOT.glob(f"{member}/Cargo.toml")):
        manifest = path.read_text()
        package = tomllib.loads(manifest)["package"]
        if package.get("publish") is not False and package["name"] not in SKIPPED:
            yield str(path.parent.relative_to(ROOT)), manifest


def needs(name, crates):
    """The crate and those of ours that it depends on."""
    found = {name}
    tables = tomllib.loads(crates[name][1])
    for dependency in tables.get("dependencies", {}):
        if dependency in crates and dependency != name:
            found |= needs(dependency, crates)
    return found


def oldest():
    """Chooses the oldest Rust for cargo, where rustup can install it."""
    package = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]
    version = package["rust-version"]
    install = ["rustup", "toolchain", "install", version, "--profile", "minimal"]
    try:
        done = subprocess.run(install, capture_output=True, timeout=300)
        if done.returncode == 0:
            return [f"+{version}"]
    except (OSError, subprocess.TimeoutExpired):
        pass
    print(f"skipped: Rust {version} cannot be had; the one that is here builds")
    return []


def build(name, crates, rust):
    to = TO / name
    shutil.rmtree(to, ignore_errors=True)
    members = []
    for other in sorted(needs(name, crates)):
        member, manifest = crates[other]
        members.append(member)
        ignored = shutil.ignore_patterns("tests", "fuzz", "target")
        shutil.copytree(ROOT / member, to / member, ignore=ignored)
        (to / member / "Cargo.toml").write_text(manifest)
    workspace = (ROOT / "Cargo.toml").read_text()
    quoted = ", ".join(f'"{member}"' for member in members)
    workspace = re.sub(r"(?m)^members = \[[^\]]*\]", f"members = [{quoted}]", workspace)
    workspace = re.sub(r"(?m)^exclude = .*\n", "", workspace)
    (to / "Cargo.toml").write_text(workspace)
    environment = os.environ | {
        "RUSTC_BOOTSTRAP": "1",
        "CARGO_TARGET_DIR": str(TO / "target"),
    }
    for command in (
        ["cargo", *rust, "generate-lockfile", "-q", "-Z", "direct-minimal-versions"],
        ["cargo", *rust, "check", "-q", "--workspace", "--all-features"],
    ):
        subprocess.run(command, cwd=to, env=environment, check=True)
    print(name, "builds with the oldest dependencies that it allows")


def main():
    crates = {}
    for member, manifest in published():
        name = tomllib.loads(manifest)["package"]["name"]
        crates[name] = (member, without_development(manifest))
    rust = oldest()
    for name in crates:
        build(name, crates, rust)


if __name__ == "__main__":
    main()

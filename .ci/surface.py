#!/usr/bin/env python3
"""Compares the public items of each published library with .ci/surface/CRATE.txt.

A line is a public path with its signature. `--write` updates the files; mention the changes in the
changelog. Arguments are names of crates; default: all.

The items are those of rustdoc's JSON, whose format belongs to the compiler. FORMAT is the one that
this script reads; with another compiler it says so and compares nothing.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
KEPT = ROOT / ".ci" / "surface"
WORK = ROOT / "target" / "surface"
# The versions of rustdoc's JSON that differ in nothing that is read here.
FORMATS = range(54, 60)


def libraries():
    """The names of the published crates that have a library for others."""
    command = ["cargo", "metadata", "--format-version", "1", "--no-deps"]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    for package in json.loads(told)["packages"]:
        kinds = {kind for target in package["targets"] for kind in target["kind"]}
        if package["publish"] is None and "lib" in kinds and "bin" not in kinds:
            yield package["name"]


def document(crate):
    """rustdoc's JSON of a crate with all its features."""
    WORK.mkdir(parents=True, exist_ok=True)
    # Set for rustdoc alone: build scripts read the variable too.
    wrapper = WORK / "rustdoc"
    wrapper.write_text('#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc "$@"\n')
    wrapper.chmod(0o755)
    flags = ["-Z", "unstable-options", "--output-format", "json", "--cap-lints", "allow"]
    command = ["cargo", "rustdoc", "-q", "-p", crate, "--lib", "--all-features", "--", *flags]
    subprocess.run(command, cwd=ROOT, check=True, env=os.environ | {"RUSTDOC": str(wrapper)})
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return json.loads((target / "doc" / f"{crate.replace('-', '_')}.json").read_text())


class Printer:
    """Signatures as text."""

    def __init__(self, document):
        self.index = document["index"]
        self.paths = document["paths"]
        # Where an item of this crate is public, by its id: not where it is defined.
        self.public = {}

    def item(self, id):
        return self.index.get(str(id))

    def type(self, it):
        if it is None:
            return "()"
        if isinstance(it, str):
            return "_"
        ((kind, value),) = it.items()
        if kind == "resolved_path":
            return self.path(value)
        if kind == "dyn_trait":
            traits = [self.poly(bound) for bound in value["traits"]]
            if value["lifetime"]:
                traits.append(value["lifetime"])
            return "dyn " + " + ".join(traits)
        if kind in ("generic", "primitive"):
            return value
        if kind == "function_pointer":
            return self.higher(value) + self.header(value["header"]) + "fn" + self.signature(value["sig"])
        if kind == "tuple":
            inner = ", ".join(map(self.type, value))
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        if kind == "slice":
            return f"[{self.type(value)}]"
        if kind == "array":
            return f"[{self.type(value['type'])}; {value['len']}]"
        if kind == "impl_trait":
            return "impl " + self.bounds(value)
        if kind == "raw_pointer":
            return f"*{'mut' if value['is_mutable'] else 'const'} {self.type(value['type'])}"
        if kind == "borrowed_ref":
            lifetime = f"{value['lifetime']} " if value["lifetime"] else ""
            mutable = "mut " if value["is_mutable"] else ""
            return f"&{lifetime}{mutable}{self.type(value['type'])}"
        if kind == "qualified_path":
            own = self.type(value["self_type"])
            name = value["name"] + self.arguments(value["args"])
            if value["trait"] is None or not value["trait"]["path"]:
                return f"{own}::{name}"
            return f"<{own} as {self.path(value['trait'])}>::{name}"
        if kind == "infer":
            return "_"
        return kind

    def path(self, value):
        return self.name(value) + self.arguments(value["args"])

    def name(self, value):
        if value["id"] in self.public:
            return self.public[value["id"]]
        known = self.paths.get(str(value["id"]))
        if known is None:
            return value["path"]
        crate, *modules, last = known["path"]
        if crate in ("core", "alloc", "std"):
            # As one writes it.
            ambiguous = last in ("Error", "Result", "Write", "Read") and modules[0] in ("fmt", "io")
            return f"{modules[0]}::{last}" if ambiguous else last
        # Which private module another crate defines it in is no promise.
        return f"{crate}::{last}"

    def arguments(self, arguments):
        if arguments is None:
            return ""
        if "parenthesized" in arguments:
            inside = arguments["parenthesized"]
            output = inside["output"]
            arrow = f" -> {self.type(output)}" if output is not None else ""
            return f"({', '.join(map(self.type, inside['inputs']))}){arrow}"
        if "angle_bracketed" not in arguments:
            return "(..)"
        inside = arguments["angle_bracketed"]
        parts = []
        for argument in inside["args"]:
            if argument == "infer":
                parts.append("_")
                continue
            ((kind, value),) = argument.items()
            if kind == "const":
                parts.append(value["expr"])
            else:
                parts.append(self.type(value) if kind == "type" else value)
        for constraint in inside["constraints"]:
            ((kind, value),) = constraint["binding"].items()
            name = constraint["name"] + self.arguments(constraint["args"])
            if kind == "equality":
                value = value.get("type") or value.get("constant")
                parts.append(f"{name} = {self.type(value)}")
            else:
                parts.append(f"{name}: {self.bounds(value)}")
        return f"<{', '.join(parts)}>" if parts else ""

    def higher(self, value):
        names = [parameter["name"] for parameter in value.get("generic_params", [])]
        return f"for<{', '.join(names)}> " if names else ""

    def poly(self, bound):
        return self.higher(bound) + self.path(bound["trait"])

    def bounds(self, bounds):
        parts = []
        for bound in bounds:
            ((kind, value),) = bound.items()
            if kind == "trait_bound":
                modifier = {"maybe": "?", "maybe_const": "~const "}.get(value["modifier"], "")
                parts.append(modifier + self.poly(value))
            elif kind == "outlives":
                parts.append(value)
            else:
                parts.append(f"use<{', '.join(next(iter(it.values())) for it in value)}>")
        return " + ".join(parts)

    def generics(self, generics):
        """The parameters, and what comes after `where`."""
        parameters, wheres = [], []
        for parameter in generics["params"]:
            ((kind, value),) = parameter["kind"].items()
            name = parameter["name"]
            if kind == "lifetime":
                outlives = value["outlives"]
                parameters.append(name + (f": {' + '.join(outlives)}" if outlives else ""))
            elif kind == "const":
                default = f" = {value['default']}" if value["default"] else ""
                parameters.append(f"const {name}: {self.type(value['type'])}{default}")
            elif not value["is_synthetic"]:
                bounds = f": {self.bounds(value['bounds'])}" if value["bounds"] else ""
                default = f" = {self.type(value['default'])}" if value["default"] else ""
                parameters.append(name + bounds + default)
        for predicate in generics["where_predicates"]:
            ((kind, value),) = predicate.items()
            if kind == "bound_predicate":
                wheres.append(f"{self.higher(value)}{self.type(value['type'])}: {self.bounds(value['bounds'])}")
            elif kind == "lifetime_predicate":
                wheres.append(f"{value['lifetime']}: {' + '.join(value['outlives'])}")
            else:
                wheres.append(f"{self.type(value['lhs'])} = {self.type(value['rhs'].get('type'))}")
        return (
            f"<{', '.join(parameters)}>" if parameters else "",
            f" where {', '.join(wheres)}" if wheres else "",
        )

    def header(self, header):
        words = [word for word in ("const", "async", "unsafe") if header[f"is_{word}"]]
        if header["abi"] != "Rust":
            words.append(f"extern {header['abi']}")
        return "".join(word + " " for word in words)

    def signature(self, signature):
        inputs = []
        for name, of in signature["inputs"]:
            text = self.type(of)
            short = {"Self": "self", "&Self": "&self", "&mut Self": "&mut self"}.get(text)
            inputs.append(short if name == "self" and short else f"{name}: {text}")
        output = signature["output"]
        arrow = f" -> {self.type(output)}" if output is not None else ""
        return f"({', '.join(inputs)}){arrow}"


class Surface:
    """The lines of a crate."""

    def __init__(self, crate, document):
        self.print = Printer(document)
        self.local = crate.replace("-", "_")
        root = self.print.item(document["root"])
        # Twice, since a signature may name what comes later.
        for _ in range(2):
            self.lines = set()
            self.seen = set()
            self.module(root, self.local)

    def add(self, item, text):
        marks = []
        for attribute in item["attrs"]:
            word = attribute if isinstance(attribute, str) else next(iter(attribute))
            if word in ("non_exhaustive", "must_use"):
                marks.append(f"#[{word}] ")
            elif word == "macro_export":
                continue
        self.lines.add("".join(sorted(marks)) + text)

    def module(self, item, path):
        for id in item["inner"]["module"]["items"]:
            inner = self.print.item(id)
            if inner is not None:
                self.show(inner, path)

    def show(self, item, path, name=None):
        """An item that is public at a path."""
        if item["visibility"] not in ("public", "default"):
            return
        ((kind, value),) = item["inner"].items()
        if kind == "use":
            return self.reexport(item, value, path)
        name = f"{path}::{name or item['name']}"
        if (name, kind) in self.seen:
            return
        self.seen.add((name, kind))
        # The shortest path is the one that users write.
        if len(name) < len(self.print.public.get(item["id"], name + " ")):
            self.print.public[item["id"]] = name
        if kind == "module":
            self.lines.add(f"pub mod {name}")
            self.module(item, name)
        elif kind == "function":
            self.function(item, value, name)
        elif kind in ("struct", "union", "enum", "trait"):
            getattr(self, kind if kind != "union" else "struct")(item, value, name)
        elif kind == "type_alias":
            parameters, where = self.print.generics(value["generics"])
            self.add(item, f"pub type {name}{parameters} = {self.print.type(value['type'])}{where}")
        elif kind == "constant":
            self.add(item, f"pub const {name}: {self.print.type(value['type'])}")
        elif kind == "static":
            self.add(item, f"pub static {name}: {self.print.type(value['type'])}")
        elif kind in ("macro", "proc_macro"):
            self.add(item, f"pub macro {name}!")
        elif kind == "trait_alias":
            self.add(item, f"pub trait {name} = {self.print.bounds(value['params'])}")

    def reexport(self, item, value, path):
        target = self.print.item(value["id"]) if value["id"] is not None else None
        if target is None:
            self.add(item, f"pub use {path}::{value['name']} = {value['source']}")
        elif value["is_glob"]:
            if "module" in target["inner"]:
                self.module(target, path)
            else:
                for id in target["inner"]["enum"]["variants"]:
                    self.lines.add(f"pub use {path}::{self.print.item(id)['name']}")
        else:
            self.show({**target, "visibility": "public"}, path, value["name"])

    def function(self, item, value, name, public="pub "):
        parameters, where = self.print.generics(value["generics"])
        header = self.print.header(value["header"])
        signature = self.print.signature(value["sig"])
        self.add(item, f"{public}{header}fn {name}{parameters}{signature}{where}")

    def fields(self, ids, name):
        for id in ids:
            field = self.print.item(id) if id is not None else None
            if field is not None and field["visibility"] in ("public", "default"):
                of = self.print.type(field["inner"]["struct_field"])
                self.lines.add(f"pub {name}::{field['name']}: {of}")

    def shape(self, kind, name):
        """The fields of a struct or of a variant; what else its line says."""
        if kind in ("unit", "plain"):
            return ""
        ((word, value),) = kind.items()
        self.fields(value if word == "tuple" else value["fields"], name)
        if word == "tuple":
            return "(..)"
        return " { .. }"

    def struct(self, item, value, name):
        parameters, where = self.print.generics(value["generics"])
        shape = self.shape(value["kind"], name) if "kind" in value else ""
        self.add(item, f"pub struct {name}{parameters}{shape}{where}")
        self.impls(value["impls"], name)

    def enum(self, item, value, name):
        parameters, where = self.print.generics(value["generics"])
        self.add(item, f"pub enum {name}{parameters}{where}")
        for id in value["variants"]:
            variant = self.print.item(id)
            if variant is not None:
                kind = variant["inner"]["variant"]["kind"]
                shape = self.shape(kind, f"{name}::{variant['name']}")
                self.add(variant, f"pub {name}::{variant['name']}{shape}")
        self.impls(value["impls"], name)

    def trait(self, item, value, name):
        parameters, where = self.print.generics(value["generics"])
        above = f": {self.print.bounds(value['bounds'])}" if value["bounds"] else ""
        unsafe = "unsafe " if value["is_unsafe"] else ""
        self.add(item, f"pub {unsafe}trait {name}{parameters}{above}{where}")
        self.associated(value["items"], name)

    def associated(self, ids, name):
        for id in ids:
            item = self.print.item(id)
            if item is None or item["visibility"] not in ("public", "default"):
                continue
            ((kind, value),) = item["inner"].items()
            path = f"{name}::{item['name']}"
            if kind == "function":
                self.function(item, value, path)
            elif kind == "assoc_const":
                self.lines.add(f"pub const {path}: {self.print.type(value['type'])}")
            elif kind == "assoc_type":
                of = f" = {self.print.type(value['type'])}" if value["type"] else ""
                bounds = f": {self.print.bounds(value['bounds'])}" if value["bounds"] else ""
                self.lines.add(f"pub type {path}{bounds}{of}")

    def impls(self, ids, name):
        for id in ids:
            item = self.print.item(id)
            if item is None:
                continue
            value = item["inner"]["impl"]
            # Blanket implementations are their traits' matter.
            if value["blanket_impl"] is not None:
                continue
            if value["trait"] is None:
                self.associated(value["items"], name)
                continue
            trait = value["trait"]["path"].split("::")[-1]
            if value["is_synthetic"]:
                # Send, Sync and their like matter where they are missing.
                if value["is_negative"] and trait in ("Send", "Sync", "Unpin", "UnwindSafe"):
                    self.lines.add(f"impl !{trait} for {name}")
                continue
            if trait == "StructuralPartialEq":
                continue
            parameters, where = self.print.generics(value["generics"])
            of = self.print.path(value["trait"])
            line = f"impl{parameters} {of} for {self.print.type(value['for'])}{where}"
            # What macros write for themselves.
            if "__" not in line:
                self.lines.add(line)


def place(line):
    """Sorts an item's line before those of its members, and its implementations after them."""
    of = line.split(" for ")[-1] if line.startswith("impl") else line
    found = re.search(r"[\w:]*\w::\w[\w:]*", of)
    return (found[0] if found else of, line.startswith("impl"), line)


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--write"]
    write = "--write" in sys.argv[1:]
    changed = False
    for crate in arguments or sorted(libraries()):
        told = document(crate)
        if told["format_version"] not in FORMATS:
            print(f"rustdoc writes format {told['format_version']}, not {FORMATS}: not compared")
            return 0
        lines = sorted(Surface(crate, told).lines, key=place)
        kept = KEPT / f"{crate}.txt"
        if write:
            KEPT.mkdir(exist_ok=True)
            kept.write_text("".join(line + "\n" for line in lines))
            print(f"{crate}: {len(lines)} lines")
            continue
        before = set(kept.read_text().splitlines()) if kept.exists() else set()
        differences = [f"- {line}" for line in sorted(before - set(lines))]
        differences += [f"+ {line}" for line in sorted(set(lines) - before)]
        if differences:
            changed = True
            print(f"{crate}: the public items are not those of {kept.relative_to(ROOT)}:")
            print("\n".join(differences))
    if changed:
        print("If that is meant: .ci/surface.py --write, and a line in CHANGELOG.md.")
    return int(changed)


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""usage: rust-analyzer.py OBJECTS ROOT

Completes the rust-project.json that Kbuild left in the module's OBJECTS
directory: adds the module, which Kbuild overlooks because its crate root is not
beside a Kbuild file, and moves the compiler's own files to where they are seen
from outside of the build root ROOT (empty: the compiler is not in one).
"""

import json
import pathlib
import sys

CRATES = ("core", "kernel", "pin_init", "zerocopy", "zerocopy_derive")

objects, root = sys.argv[1:]
top = pathlib.Path(__file__).resolve().parent.parent
project = json.loads(pathlib.Path(objects, "rust-project.json").read_text())
crates = {crate["display_name"]: number for number, crate in enumerate(project["crates"])}

module = dict(project["crates"][crates["kernel"]])
module["display_name"] = "rust_fsession"
module["root_module"] = str(top / "src/rust_fsession.rs")
module["source"] = {"include_dirs": [str(top), objects], "exclude_dirs": []}
module["deps"] = [{"crate": crates[name], "name": name} for name in CRATES if name in crates]
module["env"] = module["env"] | {"RUST_FSESSION_BINDINGS": f"{objects}/rust/bindings_generated.rs"}
project["crates"].append(module)


def outside(value):
    """Moves each path below /usr in VALUE out of the build root."""
    if isinstance(value, dict):
        return {key: outside(item) for key, item in value.items()}
    if isinstance(value, list):
        return [outside(item) for item in value]
    if isinstance(value, str) and (value == "/usr" or value.startswith("/usr/")):
        return root + value
    return value


json.dump(outside(project), sys.stdout, indent=1)

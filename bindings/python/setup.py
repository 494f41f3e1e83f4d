"""Builds the shared library with cargo and puts it into the package."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1
    from wheel.bdist_wheel import bdist_wheel

CRATE = "frmdn-env-cabi"
HERE = Path(__file__).resolve().parent
WORKSPACE = HERE.parents[1]
LIBRARIES = {".so", ".dylib", ".dll"}


def find_cargo():
    """The path of cargo: $CARGO, the one on the path, or that in rustup's default folder."""
    home = Path.home() / ".cargo" / "bin" / "cargo"
    found = os.environ.get("CARGO") or shutil.which("cargo") or (str(home) if home.exists() else None)
    if found is None:
        raise SystemExit(
            "frmdn-gym builds a Rust library and cargo was not found. Install Rust 1.95 or newer, for example with\n"
            "    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh\n"
            "or point the variable CARGO at a cargo, and install again."
        )
    return found


def build_library():
    """Runs cargo and returns the path of the library."""
    if not (WORKSPACE / "bindings" / "cabi" / "Cargo.toml").exists():
        raise SystemExit(
            "frmdn-gym is built inside of its repository, which holds the Rust sources: clone it and run\n"
            "    pip install ./bindings/python"
        )
    command = [find_cargo(), "build", "--release", "-p", CRATE, "--message-format=json-render-diagnostics"]
    try:
        done = subprocess.run(command, cwd=WORKSPACE, stdout=subprocess.PIPE, text=True)
    except OSError as error:
        raise SystemExit(f"cargo could not be started: {error}") from error
    if done.returncode != 0:
        raise SystemExit(f"`{' '.join(command)}` failed in {WORKSPACE}: its messages are above (pip shows them with -v)")
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message["target"]["name"] == CRATE.replace("-", "_"):
            for file in map(Path, message["filenames"]):
                if file.suffix in LIBRARIES:
                    return file
    raise SystemExit(f"cargo built {CRATE} but named no shared library")


class BuildWithCargo(build_py):
    """Copies the library beside the Python files, in an editable installation into the source tree."""

    def run(self):
        super().run()
        root = HERE / "src" if self.editable_mode else Path(self.build_lib)
        library = build_library()
        target = root / "frmdn_gym" / library.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        shutil.copy2(library, target)


class PlatformWheel(bdist_wheel):
    """A wheel for this platform and any Python 3: the library does not use Python's ABI."""

    def get_tag(self):
        return ("py3", "none", super().get_tag()[2])


class WithLibrary(Distribution):
    """Marks the package as not pure Python."""

    def has_ext_modules(self):
        return True


setup(cmdclass={"build_py": BuildWithCargo, "bdist_wheel": PlatformWheel}, distclass=WithLibrary)

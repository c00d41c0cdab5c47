"""The packages of the userland: the wheel built here, its dependencies as arm64 wheels.

pip runs on this machine and unpacks for the other one: emulated it would take minutes. Every
package has the version that is installed here, so that the same code is compared.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

from benchmarks.arm.userland import PYTHON, ArmError, Userland
from benchmarks.environment import REPOSITORY

# glibc of bookworm is 2.36, so all of these load.
PLATFORMS = [f"manylinux{glibc}_aarch64" for glibc in ("_2_34", "_2_31", "_2_28", "_2_27", "2014")]
LITERT = "ai-edge-litert"


def build_wheel(folder: Path) -> Path:
    """The wheel of the working tree.

    Raises:
        ArmError: it does not build.
    """
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(REPOSITORY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ArmError(f"the wheel does not build:\n{done.stdout[-800:]}{done.stderr[-800:]}")
    (wheel,) = folder.glob("*.whl")
    return wheel


def pins(wheel: Path, more: tuple[str, ...] = ()) -> list[str]:
    """What the wheel's base install asks for, and `more`, each as "name==version installed here".

    Raises:
        ArmError: one of them is not installed.
    """
    (found,) = distributions(name="edgesam_rt", path=[str(wheel)])
    asked = [line for line in found.requires or [] if "extra ==" not in line]
    names = [re.split(r"[\s;<>=!~\[]", line)[0] for line in asked if "python_version" not in line]
    try:
        return [f"{name}=={version(name)}" for name in (*names, *more)]
    except PackageNotFoundError as error:
        raise ArmError(f"{error.name} is not installed here. Next: pip install it.") from error


def install_here(folder: Path, wheel: Path) -> Path:
    """Unpack the wheel alone for this machine, whose other packages serve; returns the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    subprocess.run([*command, str(folder), str(wheel)], check=True, capture_output=True)
    return folder


def install(userland: Userland, name: str, wheel: Path, more: tuple[str, ...] = ()) -> list[str]:
    """Unpack the wheel and what it needs into /opt/NAME; returns the versions.

    Whole or not at all: an unfinished folder is made again.

    Raises:
        ArmError: pip found no wheel for arm64, or no index.
    """
    target, asked = userland.root / "opt" / name, pins(wheel, more)
    part = target.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(part)]
    command += ["--only-binary=:all:", "--python-version", PYTHON]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    done = subprocess.run([*command, str(wheel), *asked], capture_output=True, text=True)
    if done.returncode:
        raise ArmError(f"pip could not install {' '.join(asked)} for arm64:\n{done.stderr[-1500:]}")
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    return asked

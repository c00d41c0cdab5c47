"""What may be loaded by whom: proved in fresh interpreters, because the tables import by name."""

from __future__ import annotations

import pytest

from tests.packaging.fresh import ROOT, modules_of, run_fresh

RUNTIME = modules_of("edgesam_rt", ROOT / "edgesam_rt")
MAIN = {name for name in RUNTIME if name.endswith("__main__")}

# Modules whose job is the vendor library; nobody imports them before they are needed.
VENDOR = {"edgesam_rt.backends.onnxrt": "onnxruntime"}
HEAVY = ("cv2", "onnxruntime", "torch", "torchvision", "onnx", "tensorflow", "safetensors")

IMPORT_ALL = """
import importlib
for name in {names!r}:
    importlib.import_module(name)
loaded = {{name.partition(".")[0] for name in sys.modules}}
print(*sorted(loaded & set({heavy!r})))
"""


def loaded_by(names: list[str], *, blocked: tuple[str, ...] = ()) -> set[str]:
    """Heavy packages that importing these modules loads."""
    code = IMPORT_ALL.format(names=names, heavy=HEAVY)
    return set(run_fresh(code, blocked=blocked).split())


def test_there_are_modules_to_import() -> None:
    assert len(RUNTIME) > 40
    assert set(VENDOR) <= set(RUNTIME)


def test_importing_the_package_loads_no_heavy_library() -> None:
    assert loaded_by(["edgesam_rt"]) == set()


@pytest.mark.parametrize("package", ["torch", "onnx", "onnxruntime", "cv2"])
def test_the_package_imports_without(package: str) -> None:
    run_fresh("import edgesam_rt", blocked=[package])


def test_every_public_name_is_there_without_any_vendor_library() -> None:
    run_fresh(
        "import edgesam_rt\nfor name in edgesam_rt.__all__: getattr(edgesam_rt, name)",
        blocked=HEAVY,
    )


def test_every_public_name_is_there_and_none_loads_a_heavy_library() -> None:
    code = "import edgesam_rt\nfor name in edgesam_rt.__all__: getattr(edgesam_rt, name)\n"
    assert loaded_by(["edgesam_rt"]) == set()
    assert run_fresh(code + IMPORT_ALL.format(names=["edgesam_rt"], heavy=HEAVY)).split() == []


def test_every_module_imports_on_a_board_without_torch_and_onnx() -> None:
    names = [name for name in RUNTIME if name not in MAIN]
    blocked = ("torch", "torchvision", "onnx", "tensorflow", "safetensors", "edgesam_engines")
    assert loaded_by(names, blocked=blocked) <= {"cv2", "onnxruntime"}


def test_every_module_but_the_vendors_own_imports_without_any_vendor_library() -> None:
    names = [name for name in RUNTIME if name not in MAIN and name not in VENDOR]
    assert loaded_by(names, blocked=HEAVY) == set()


@pytest.mark.parametrize(("module", "library"), sorted(VENDOR.items()))
def test_a_vendors_module_loads_its_library_and_no_other(module: str, library: str) -> None:
    assert loaded_by([module]) == {library}


def test_a_missing_runtime_library_is_answered_with_the_command() -> None:
    code = """
import edgesam_rt as es
try:
    es.open(board="cpu")
except es.BackendMissing as error:
    print(error.exit_code, error)
"""
    told = run_fresh(code, blocked=["onnxruntime", "ai_edge_litert", "tflite_runtime"])
    assert told.startswith("3 ")
    assert "pip install" in told


def test_prompts_and_masks_need_numpy_alone() -> None:
    code = """
import numpy as np
import edgesam_rt as es
prompt = es.Prompt.point(5, 6) + es.Prompt.box(1, 2, 30, 40)
print(len(prompt.point_labels))
"""
    assert run_fresh(code, blocked=HEAVY).split() == ["3"]


@pytest.mark.parametrize(
    "command",
    ["from edgesam_rt.cli.run import main", "from edgesam_engines.cli import main"],
    ids=["edgesam-run", "edgesam-engines"],
)
def test_help_needs_no_vendor_library(command: str) -> None:
    code = f"""
{command}
try:
    main(["--help"])
except SystemExit as end:
    assert end.code == 0, end.code
"""
    assert "usage:" in run_fresh(code, blocked=HEAVY)


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["inspect", "pocketsam-int8"]])
def test_bundles_can_be_looked_at_without_the_factorys_packages(arguments: list[str]) -> None:
    code = f"from edgesam_engines.cli import main\nraise SystemExit(main({arguments!r}))"
    assert "pocketsam-int8" in run_fresh(code, blocked=HEAVY)


def test_families_are_listed_without_the_factorys_packages() -> None:
    code = "from edgesam_engines.cli import main\nraise SystemExit(main(['list', '--families']))"
    assert "mobile_sam.pt" in run_fresh(code, blocked=HEAVY)


@pytest.mark.parametrize(
    "arguments",
    [["build", "pocketsam-int8", "--calibration", "."], ["verify", "pocketsam-int8"]],
    ids=["build", "verify"],
)
def test_a_build_without_the_factorys_packages_is_answered_with_the_command(
    arguments: list[str],
) -> None:
    code = f"""
from edgesam_engines.cli import main
sys.stderr = sys.stdout
print(main({arguments!r}))
"""
    told = run_fresh(code, blocked=("torch", "onnx", "safetensors"))
    assert "pip install 'edgesam_rt[engines]'" in told
    assert told.split()[-1] == "3"
    assert "Traceback" not in told

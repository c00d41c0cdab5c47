"""What boards say of themselves, as files below a root: each tree is one machine.

Device trees are those that users of the boards quote (see `sources` in the boards' data files).
"""

from __future__ import annotations

from collections.abc import Mapping

Tree = Mapping[str, str]

COMPATIBLE = "proc/device-tree/compatible"
MODEL = "proc/device-tree/model"
CPUINFO = "proc/cpuinfo"
L4T = "etc/nv_tegra_release"


def tree(model: str, *compatible: str, **more: str) -> dict[str, str]:
    """A device tree; `more` may have l4t, the release file."""
    files = {MODEL: f"{model}\0", COMPATIBLE: "".join(f"{c}\0" for c in compatible)}
    return {**files, **({L4T: more["l4t"]} if "l4t" in more else {})}


R32_NANO = "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref, EABI: aarch64, DATE: x"
R32_XAVIER = "# R32 (release), REVISION: 7.2, GCID: 30192233, BOARD: t186ref, EABI: aarch64"
R35 = "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64, DATE: x"
R36 = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: x"
R39 = "# R39 (release), REVISION: 2.1, GCID: 1, BOARD: generic, EABI: aarch64"

TREES: Mapping[str, tuple[Tree, ...]] = {
    "rpi4": (
        tree("Raspberry Pi 4 Model B Rev 1.4", "raspberrypi,4-model-b", "brcm,bcm2711"),
        tree("Raspberry Pi 400 Rev 1.0", "raspberrypi,400", "brcm,bcm2711"),
        tree(
            "Raspberry Pi Compute Module 4 Rev 1.0", "raspberrypi,4-compute-module", "brcm,bcm2711"
        ),
        {CPUINFO: "processor\t: 3\nCPU part\t: 0xd08\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4"},
    ),
    "rpi5": (
        tree("Raspberry Pi 5 Model B Rev 1.0", "raspberrypi,5-model-b", "brcm,bcm2712"),
        tree("Raspberry Pi 500 Rev 1.0", "raspberrypi,500", "brcm,bcm2712"),
        tree(
            "Raspberry Pi Compute Module 5 Rev 1.0", "raspberrypi,5-compute-module", "brcm,bcm2712"
        ),
        {CPUINFO: "processor\t: 3\nCPU part\t: 0xd0b\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0"},
    ),
    "jetson-nano": (
        tree(
            "NVIDIA Jetson Nano Developer Kit",
            *("nvidia,p3450-0000", "nvidia,jetson-nano", "nvidia,tegra210"),
            l4t=R32_NANO,
        ),
        tree("jetson_tx1", "nvidia,jetson-cv", "nvidia,tegra210", l4t=R32_NANO),
        {L4T: R32_NANO},
    ),
    "jetson-xavier-nx": (
        tree(
            "NVIDIA Jetson Xavier NX Developer Kit",
            *("nvidia,p3509-0000+p3668-0000", "nvidia,tegra194"),
            l4t=R35,
        ),
        tree("Jetson-AGX", "nvidia,p2972-0000", "nvidia,tegra194", l4t=R32_XAVIER),
        tree("Acme carrier", "acme,carrier", "nvidia,p3668-0001", "nvidia,tegra194", l4t=R35),
        {L4T: R35},
    ),
    "jetson-orin-nano": (
        tree(
            "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
            *("nvidia,p3768-0000+p3767-0005-super", "nvidia,p3767-0005", "nvidia,tegra234"),
            l4t=R36,
        ),
        tree(
            "NVIDIA Orin NX Developer Kit",
            *("nvidia,p3768-0000+p3767-0000", "nvidia,tegra234", "nvidia,tegra23x"),
            l4t=R35,
        ),
        tree("Acme carrier", "acme,p3768-0000+p3767-0001+acme", "nvidia,tegra234", l4t=R39),
        tree("Acme board", "acme,board", "nvidia,tegra234", l4t=R36),
        {L4T: R36},
        {L4T: R39},
    ),
    "jetson-agx-orin": (
        tree(
            "NVIDIA Jetson AGX Orin Developer Kit",
            *("nvidia,p3737-0000+p3701-0005", "nvidia,p3701-0005", "nvidia,tegra234"),
            l4t=R36,
        ),
        tree("Acme carrier", "acme,carrier", "nvidia,p3701-0004", "nvidia,tegra234", l4t=R36),
        tree(
            "NVIDIA Jetson AGX Orin",
            *("nvidia,p3737-0000+p3701-0000", "nvidia,tegra234", "nvidia,tegra23x"),
            l4t=R35,
        ),
    ),
    "android": ({"system/build.prop": "ro.build.version.sdk=35"},),
    "cpu": (
        tree("Raspberry Pi 3 Model B Plus Rev 1.3", "raspberrypi,3-model-b-plus", "brcm,bcm2837"),
        tree("Raspberry Pi Zero 2 W Rev 1.0", "raspberrypi,model-zero-2-w", "brcm,bcm2837"),
        tree("Pine64 RockPro64 v2.1", "pine64,rockpro64", "rockchip,rk3399"),
        tree("Acme carrier for Raspberry Pi 4", "acme,carrier"),
        tree("Raspberry", "brcm,bcm27112"),
        tree("quill", "nvidia,p2771-0000", "nvidia,quill", "nvidia,tegra186", l4t=R32_XAVIER),
        tree("NVIDIA Jetson AGX Thor", "nvidia,p4071-0000+p3834-0008", "nvidia,tegra264"),
        {CPUINFO: "model name\t: A Core\nmodel\t\t: 85\nflags\t\t: fpu avx2 avx_vnni"},
        {COMPATIBLE: "\0\0", MODEL: "\0"},
        {COMPATIBLE: "", MODEL: "", L4T: "", CPUINFO: ""},
        {L4T: "no release"},
        {},
    ),
}
CASES = [(name, files) for name, trees in TREES.items() for files in trees]

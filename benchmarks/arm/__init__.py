"""The proof on Arm: the wheel in an emulated arm64 userland against this machine, by stages."""

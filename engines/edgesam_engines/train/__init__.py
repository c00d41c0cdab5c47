"""Training of the project's own small model: data, prompts, losses, loop, validation, curves.

Run it with `python -m edgesam_engines.train --config RECIPE --out FOLDER`; the same command goes on
where the last run stopped. Nothing else in the project imports this package.
"""

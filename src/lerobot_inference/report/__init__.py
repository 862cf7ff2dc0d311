"""A results folder in, pictures and one page out. A plot is a file with a `draw`, and a line in catalogue.py."""

from lerobot_inference.report.render import render_plots

__all__ = ["render_plots"]

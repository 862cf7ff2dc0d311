"""A results folder in, pictures out."""

from lerobot_inference.report.render import render_plots

__all__ = ["render_plots"]

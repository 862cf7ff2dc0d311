"""A checkpoint in, a verified bundle for the edge out."""

from lerobot_inference.export.export import ExportOptions, export

__all__ = ["ExportOptions", "export"]

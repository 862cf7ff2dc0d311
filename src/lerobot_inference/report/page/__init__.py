"""report.html: one file that holds the verdict, the figures and the episodes, and needs no network."""

from lerobot_inference.report.page.build import Report, write_report

__all__ = ["Report", "write_report"]

"""The report of benchmarks: one HTML file that needs no network, and the same panels as figures for papers.

    from galfit_ml.benchmark.report import ReportData, write_report, write_figures

    write_report(ReportData(rows, points, {"machine": "laptop"}), "report.html")

`write_report` needs bokeh, which the extra `benchmark` brings; `write_figures` does without.
"""

from galfit_ml.benchmark.report.data import ReportData, Spectra
from galfit_ml.benchmark.report.figures import write_figures
from galfit_ml.benchmark.report.page import write_report

__all__ = ["ReportData", "Spectra", "write_figures", "write_report"]

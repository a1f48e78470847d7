"""Posteriors in the formats of other tools: ArviZ (`galfit_ml.export.arviz`) and qp (`galfit_ml.export.qp`)."""

"""JupyterLab as `make lab` starts it: on the landing notebook, with an export menu whose entries all work here."""

c = get_config()  # noqa: F821
c.LabApp.default_url = "/lab/tree/notebooks/00_start_here.ipynb"
for exporter in ("PDFExporter", "WebPDFExporter", "QtPDFExporter", "QtPNGExporter"):  # need LaTeX, a browser, Qt
    c[exporter].enabled = False

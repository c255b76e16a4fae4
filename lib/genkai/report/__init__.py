"""Display objects, message catalogue, Typst template and nbconvert exporter: executed notebook in, PDF out."""

"""For each notebook, the functions that show a part of it: a study in, a display object out."""

"""One self-contained HTML page about a run, or about a set of folds."""

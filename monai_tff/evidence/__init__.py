"""What a sceptical reader asks for: comparisons, permutation tests, confounds, and how often the test set was used."""

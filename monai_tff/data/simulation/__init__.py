"""The parts of the simulated cohort: options, template, subjects, signal and files."""

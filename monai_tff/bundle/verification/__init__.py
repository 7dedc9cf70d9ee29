"""Verification: whether a bundle keeps the rules, and whether it can be run without trusting who made it."""

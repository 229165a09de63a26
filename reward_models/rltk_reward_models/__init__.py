"""Reward models: loss, scorer, scoring server and client, accuracy, calibration, length bias, model card.

A leaf package: never imports `rltk`.
"""

"""Recordings simulated with a model of the arm.

Source of the facts about the competition's recordings: ../shared/facts/competition.md, section 1.
"""

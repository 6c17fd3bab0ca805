"""A model of the arm in, recordings of a simulated person out.

Source of every fact that is not the model's own: ../shared/facts/competition.md, section 1.
"""

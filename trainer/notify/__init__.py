"""Notifications of runs and studies, sent through Apprise by a process of their own."""

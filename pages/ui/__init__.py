"""What the pages share: frame, cached readers, live refresh, charts, controls."""

"""Models: the interface, LightGBM and the network; fitting reports through a monitor only."""

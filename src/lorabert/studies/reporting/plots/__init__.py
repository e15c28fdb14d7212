"""Plots as inline SVG with real text, a description for those who do not see them, and the numbers behind them."""

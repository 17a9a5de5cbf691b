"""Charts as SVG text, and the statistics under them. No plotting library: 2 ms a chart, sharp in print too."""

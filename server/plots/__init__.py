"""Declared plots: a result's bytes in, a picture (SVG) and its points (CSV) out. Pure: no I/O.

drawing.py   the way in              reading.py  bytes -> table        points.py  table -> what is plotted
scale.py     numbers -> pixels       svg.py      elements and text     axes.py    the frame around
bars.py lines.py histogram.py picture.py    the kinds                  raster.py pnm.py  formats of pictures
"""

/* SPDX-License-Identifier: MIT */
/* A little of SVG 1.1: what a chart needs, without scripts, fonts or anything from elsewhere. */
#ifndef KERF_CLI_SVG_H
#define KERF_CLI_SVG_H

#include <stdio.h>

void kerf_svg_begin(FILE *f, double width, double height, const char *title);
void kerf_svg_end(FILE *f);

/* Attributes are ours; text is anybody's: it is escaped, and bounded to max characters (0: all). */
void kerf_svg_escaped(FILE *f, const char *text, size_t max);
void kerf_svg_text(FILE *f, double x, double y, const char *attributes, const char *text,
		   size_t max);
void kerf_svg_line(FILE *f, double x1, double y1, double x2, double y2, const char *attributes);

/*
 * About n round numbers (1, 2 or 5 times a power of ten) that cover 0 to max; returns the
 * distance between them.
 */
double kerf_svg_step(double max, int n);

#endif

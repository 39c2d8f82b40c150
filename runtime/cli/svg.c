/* SPDX-License-Identifier: MIT */
#include "cli/svg.h"

#include <math.h>
#include <string.h>

void kerf_svg_begin(FILE *f, double width, double height, const char *title)
{
	fprintf(f,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
		"viewBox=\"0 0 %.0f %.0f\" font-family=\"Helvetica, Arial, sans-serif\" "
		"font-size=\"11\" "
		"fill=\"#333\">\n<title>",
		width, height, width, height);
	kerf_svg_escaped(f, title, 0);
	fprintf(f, "</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n");
}

void kerf_svg_end(FILE *f)
{
	fprintf(f, "</svg>\n");
}

/*
 * Text is UTF-8. XML allows no control characters and no U+FFFE, U+FFFF, not even escaped.
 */
void kerf_svg_escaped(FILE *f, const char *text, size_t max)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n = 0;

	for (; *s; s++) {
		/* Characters are counted by their first bytes */
		if ((*s & 0xc0) != 0x80 && max && ++n > max) {
			fputs("\xe2\x80\xa6", f);
			return;
		}
		switch (*s) {
		case '<': fputs("&lt;", f); break;
		case '>': fputs("&gt;", f); break;
		case '&': fputs("&amp;", f); break;
		case '"': fputs("&quot;", f); break;
		default:
			if (s[0] == 0xef && s[1] == 0xbf && s[2] >= 0xbe) {
				fputc('?', f);
				s += 2;
			} else {
				fputc(*s < 0x20 || *s == 0x7f ? '?' : *s, f);
			}
		}
	}
}

void kerf_svg_text(FILE *f, double x, double y, const char *attributes, const char *text,
		   size_t max)
{
	fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
	kerf_svg_escaped(f, text, max);
	fputs("</text>\n", f);
}

void kerf_svg_line(FILE *f, double x1, double y1, double x2, double y2, const char *attributes)
{
	fprintf(f, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x1, y1, x2, y2,
		attributes);
}

double kerf_svg_step(double max, int n)
{
	double raw = max / n, power, lead;

	if (!(raw > 0) || !isfinite(raw))
		return 1;
	power = pow(10, floor(log10(raw)));
	lead = raw / power;
	return power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
}

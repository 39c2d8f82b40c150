/* SPDX-License-Identifier: MIT */
#include "cli/svg.h"
#include "util/utf8.h"

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
 * What is not UTF-8 becomes '?', and so do control characters, U+FFFE and U+FFFF: XML does not
 * allow them, not even escaped.
 */
void kerf_svg_escaped(FILE *f, const char *text, size_t max)
{
	size_t left = strlen(text), shown = 0, n;

	for (; left; text += n, left -= n) {
		n = kerf_utf8_length(text, left);
		if (max && ++shown > max) {
			fputs("\xe2\x80\xa6", f);
			return;
		}
		if (!n || (unsigned char)*text < 0x20 || *text == 0x7f ||
		    !strncmp(text, "\xef\xbf\xbe", 3) || !strncmp(text, "\xef\xbf\xbf", 3)) {
			fputc('?', f);
			n = n ? n : 1;
			continue;
		}
		switch (*text) {
		case '<': fputs("&lt;", f); break;
		case '>': fputs("&gt;", f); break;
		case '&': fputs("&amp;", f); break;
		case '"': fputs("&quot;", f); break;
		default: fwrite(text, 1, n, f);
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

/* SPDX-License-Identifier: MIT */
#include "cli/top.h"

#include <curses.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct view {
	enum kerf_top_view what;
	int first, left; /* line and column in the upper left corner */
	int lines;
};

static void header(const struct kerf_top_sample *s, enum kerf_top_view v)
{
	int i;

	attron(A_REVERSE);
	mvhline(0, 0, ' ', COLS);
	mvprintw(0, 0, "kerf top  process %u  ", s->head.pid);
	for (i = 0; i < KERF_N_TOP_VIEW; i++) {
		if (i == (int)v)
			attroff(A_REVERSE);
		printw(" %d %s ", i + 1, kerf_top_view_name((enum kerf_top_view)i));
		attron(A_REVERSE);
	}
	attroff(A_REVERSE);
	mvhline(LINES - 1, 0, ' ', COLS);
	if (!s->alive)
		mvprintw(LINES - 1, 0,
			 "THE NODE HAS ENDED, OR IS STUCK: these are its last figures");
	else if (!s->whole)
		mvprintw(LINES - 1, 0, "the state was being written: these are the figures before");
	else
		mvprintw(LINES - 1, 0, "q quit  Tab 1-%d views  arrows, PgUp, PgDn scroll",
			 KERF_N_TOP_VIEW);
}

/* The part of the text that the screen has room for. */
static void body(struct view *v, char *text)
{
	int rows = LINES > 2 ? LINES - 2 : 0, row = 0;
	char *line, *rest = text;

	v->lines = 0;
	while ((line = strsep(&rest, "\n"))) {
		bool heading = *line == KERF_TOP_HEADING;
		int n;

		if (!rest && !*line)
			break; /* after the last newline */
		line += heading;
		n = (int)strlen(line);
		if (v->lines++ < v->first || row == rows)
			continue;
		if (heading)
			attron(A_BOLD);
		if (n > v->left)
			mvaddnstr(1 + row, 0, line + v->left, COLS);
		if (heading)
			attroff(A_BOLD);
		row++;
	}
}

static int draw(struct view *v, const struct kerf_top_sample *before,
		const struct kerf_top_sample *now)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return -ENOMEM;
	kerf_top_print(before, now, v->what, f);
	if (fclose(f)) {
		free(text);
		return -ENOMEM;
	}
	erase();
	header(now, v->what);
	body(v, text);
	refresh();
	free(text);
	return 0;
}

/* false: the user leaves. */
static bool act(struct view *v, int key)
{
	int page = LINES > 3 ? LINES - 3 : 1, last;

	switch (key) {
	case 'q':
	case 'Q': return false;
	case '\t':
	case KEY_RIGHT: v->what = (v->what + 1) % KERF_N_TOP_VIEW; break;
	case KEY_BTAB:
	case KEY_LEFT: v->what = (v->what + KERF_N_TOP_VIEW - 1) % KERF_N_TOP_VIEW; break;
	case KEY_UP: v->first--; break;
	case KEY_DOWN: v->first++; break;
	case KEY_PPAGE: v->first -= page; break;
	case KEY_NPAGE: v->first += page; break;
	case KEY_HOME: v->first = v->left = 0; break;
	case KEY_END: v->first = v->lines; break;
	case '<': v->left -= 8; break;
	case '>': v->left += 8; break;
	default:
		if (key >= '1' && key < '1' + KERF_N_TOP_VIEW)
			v->what = (enum kerf_top_view)(key - '1');
	}
	last = v->lines - page;
	v->first = KERF_MAX(KERF_MIN(v->first, last), 0);
	v->left = KERF_MAX(KERF_MIN(v->left, 160), 0);
	return true;
}

int kerf_top_screen(void (*take)(void *user, const struct kerf_top_sample **before,
				 const struct kerf_top_sample **now),
		    void *user, int interval_ms)
{
	const struct kerf_top_sample *before, *now;
	struct view v = {0};
	SCREEN *screen;
	int key = ERR, r = 0;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return 1;
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return 1;
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	timeout(interval_ms);
	take(user, &before, &now);
	do {
		if (key == ERR)
			take(user, &before, &now);
		r = draw(&v, before, now);
		key = getch();
	} while (!r && act(&v, key));
	endwin();
	delscreen(screen);
	return r;
}

/* SPDX-License-Identifier: MIT */
#include "harness/spec_lex.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int
spec_fail(const struct spec_pos *pos, struct q2_err *err, const char *fmt, ...)
{
	char text[768];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (pos->line == 0)
		return q2_fail(err, -EINVAL, "%.200s: %s", pos->file, text);
	return q2_fail(err, -EINVAL, "%.200s:%u:%u: %s", pos->file, pos->line,
		       pos->col, text);
}

const char *
spec_cut(const char *text, char buf[SPEC_CUT])
{
	size_t len = strlen(text), most = SPEC_CUT - 4;

	if (len <= most)
		return text;
	/* Not in the middle of a character. */
	while (most > 0 && ((unsigned char)text[most] & 0xc0) == 0x80)
		most--;
	(void)snprintf(buf, SPEC_CUT, "%.*s...", (int)most, text);
	return buf;
}

static char
one_dash(char c)
{
	if (c == '_')
		return '-';
	return c;
}

bool
spec_same(const char *a, const char *b)
{
	while (*a && one_dash(*a) == one_dash(*b)) {
		a++;
		b++;
	}
	return one_dash(*a) == one_dash(*b);
}

/* ---- is it text? ------------------------------------------------------- */

/* Length of the character at s, 0 if it is none (RFC 3629). */
static size_t
utf8(const unsigned char *s, size_t left)
{
	uint32_t c = s[0];
	size_t n = c < 0x80   ? 1
		   : c < 0xc2 ? 0
		   : c < 0xe0 ? 2
		   : c < 0xf0 ? 3
			      : 4;
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

	if (n <= 1)
		return n;
	if (n > left || c > 0xf4)
		return 0;
	c &= 0x7fU >> n;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0
									   : n;
}

static bool
is_text(const unsigned char *s, size_t n)
{
	return n > 1 ||
	       (n == 1 && (s[0] == '\n' || s[0] == '\t' || s[0] == '\r' ||
			   (s[0] >= ' ' && s[0] != 0x7f)));
}

static int
check_text(const struct spec_lexer *lex, struct q2_err *err)
{
	const unsigned char *s = (const unsigned char *)lex->text;
	struct spec_pos pos = lex->pos;
	size_t n;

	for (size_t i = 0; i < lex->len; i += n) {
		n = utf8(s + i, lex->len - i);
		if (!is_text(s + i, n))
			return spec_fail(&pos, err,
					 "byte 0x%02x is not text (a spec file "
					 "is UTF-8)",
					 s[i]);
		pos.col += (unsigned)n;
		if (s[i] == '\n') {
			pos.line++;
			pos.col = 1;
		}
	}
	return 0;
}

int
spec_lex_init(struct spec_lexer *lex, struct spec_mem *mem, const char *file,
	      const char *text, size_t len, struct q2_err *err)
{
	/* A byte order mark, which editors put first and do not show. */
	size_t mark = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

	*lex = (struct spec_lexer){
		.mem = mem,
		.text = text + mark,
		.len = len - mark,
		.pos = {file, 1, 1},
	};
	return check_text(lex, err);
}

/* ---- words ------------------------------------------------------------- */

static char
peek(const struct spec_lexer *lex)
{
	if (lex->at < lex->len)
		return lex->text[lex->at];
	return '\n';
}

static void
advance(struct spec_lexer *lex)
{
	if (peek(lex) == '\n') {
		lex->pos.line++;
		lex->pos.col = 0;
	}
	lex->at++;
	lex->pos.col++;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void
skip_blanks(struct spec_lexer *lex)
{
	while (is_blank(peek(lex)))
		advance(lex);
	if (peek(lex) == '#') {
		while (peek(lex) != '\n')
			advance(lex);
	}
}

/* At a backslash: does nothing but blanks and a comment follow it? */
static bool
goes_on(const struct spec_lexer *lex)
{
	struct spec_lexer ahead = *lex;

	advance(&ahead);
	if (!is_blank(peek(&ahead)) && peek(&ahead) != '\n')
		return false;
	skip_blanks(&ahead);
	return peek(&ahead) == '\n';
}

/* The next word of the logical line; false at its end. */
static bool
next_word(struct spec_lexer *lex, struct spec_word *ret)
{
	size_t begin;

	skip_blanks(lex);
	while (peek(lex) == '\\' && goes_on(lex)) {
		advance(lex);
		skip_blanks(lex);
		advance(lex);
		skip_blanks(lex);
	}
	if (peek(lex) == '\n')
		return false;
	begin = lex->at;
	ret->pos = lex->pos;
	while (!is_blank(peek(lex)) && peek(lex) != '\n' &&
	       !(peek(lex) == '\\' && goes_on(lex)))
		advance(lex);
	ret->text = spec_text(lex->mem, lex->text + begin, lex->at - begin);
	return true;
}

static size_t
line_words(struct spec_lexer *lex, struct spec_word **ret)
{
	struct spec_word *v = NULL, word;
	size_t n = 0, cap = 0;

	while (next_word(lex, &word)) {
		v = spec_grow(lex->mem, v, n, &cap, sizeof(*v));
		v[n++] = word;
	}
	*ret = v;
	return n;
}

size_t
spec_lex_words(struct spec_mem *mem, const char *text, struct spec_pos pos,
	       struct spec_word **ret)
{
	struct spec_lexer lex = {
		.mem = mem, .text = text, .len = strlen(text), .pos = pos};
	size_t n = line_words(&lex, ret);

	for (size_t i = 0; i < n; i++)
		(*ret)[i].pos = pos;
	return n;
}

/* ---- lines ------------------------------------------------------------- */

static int
section(struct spec_lexer *lex, struct spec_word *words, size_t n,
	struct spec_line *ret, struct q2_err *err)
{
	const char *text = words[0].text;
	size_t len = strlen(text);
	char buf[SPEC_CUT];

	if (n > 1)
		return spec_fail(&words[1].pos, err,
				 "'%s' after the section's name",
				 spec_cut(words[1].text, buf));
	if (len < 3 || text[len - 1] != ']')
		return spec_fail(&words[0].pos, err,
				 "'%s' is not a section: it is written [name]",
				 spec_cut(text, buf));
	*ret = (struct spec_line){
		.kind = SPEC_SECTION,
		.key = {spec_text(lex->mem, text + 1, len - 2), words[0].pos},
	};
	return 1;
}

/* words[0] up to '=', wherever that is. */
static int
entry(struct spec_lexer *lex, struct spec_word *words, size_t n,
      struct spec_line *ret, struct q2_err *err)
{
	const char *eq = strchr(words[0].text, '=');
	size_t len = eq ? (size_t)(eq - words[0].text) : strlen(words[0].text);
	struct spec_word *first = eq ? &words[0] : &words[1];
	size_t skip = eq ? len + 1 : 1;
	char buf[SPEC_CUT];

	if (eq == words[0].text)
		return spec_fail(&words[0].pos, err, "no key before '='");
	if (!eq && (n < 2 || words[1].text[0] != '='))
		return spec_fail(&words[0].pos, err,
				 "no '=' after '%s': a line is key = value",
				 spec_cut(words[0].text, buf));
	*ret = (struct spec_line){
		.kind = SPEC_ENTRY,
		.key = {spec_text(lex->mem, words[0].text, len), words[0].pos},
	};
	/* What follows '=' without a blank is the first word. */
	first->text += skip;
	first->pos.col += (unsigned)skip;
	if (!*first->text)
		first++;
	ret->words = first;
	ret->nwords = n - (size_t)(first - words);
	return 1;
}

int
spec_lex_next(struct spec_lexer *lex, struct spec_line *ret, struct q2_err *err)
{
	struct spec_word *words;
	size_t n = 0;

	while (n == 0 && lex->at < lex->len) {
		n = line_words(lex, &words);
		advance(lex);
	}
	if (n == 0)
		return 0;
	if (words[0].text[0] == '[')
		return section(lex, words, n, ret, err);
	if (strcmp(words[0].text, "include") == 0 &&
	    (n < 2 || words[1].text[0] != '=')) {
		if (n != 2)
			return spec_fail(&words[0].pos, err,
					 "include takes the name of one file");
		*ret = (struct spec_line){SPEC_INCLUDE, words[0], words + 1, 1};
		return 1;
	}
	return entry(lex, words, n, ret, err);
}

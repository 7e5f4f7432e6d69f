/* SPDX-License-Identifier: MIT */
#include "harness/wrap.h"

#include <stdbool.h>
#include <string.h>

/* Bytes of the next word; a number and its per cent are one. */
static size_t
word_bytes(const char *text)
{
	size_t len = strcspn(text, " \n");

	if (text[len] == ' ' && text[len + 1] == '%')
		len += 1 + strcspn(text + len + 1, " \n");
	return len;
}

void
wrap_words(FILE *f, const char *text, unsigned at, unsigned indent)
{
	size_t column = at;
	bool first = true;

	text += strspn(text, " \n");
	while (*text) {
		size_t len = word_bytes(text);

		if (!first && column + 1 + len > WRAP_WIDTH) {
			(void)fprintf(f, "\n%*s", (int)indent, "");
			column = indent;
		} else if (!first) {
			(void)fputc(' ', f);
			column++;
		}
		(void)fprintf(f, "%.*s", (int)len, text);
		column += len;
		first = false;
		text += len;
		text += strspn(text, " \n");
	}
	(void)fputc('\n', f);
}

void
wrap_entry(FILE *f, const char *head, unsigned indent, const char *text)
{
	if (strlen(head) + 3 <= indent)
		(void)fprintf(f, "  %-*s", (int)indent - 2, head);
	else
		(void)fprintf(f, "  %s\n%*s", head, (int)indent, "");
	wrap_words(f, text, indent, indent);
}

/* SPDX-License-Identifier: MIT */
/*
 * list.h - intrusive doubly linked list
 *
 * The head is a struct list too, linked to itself when empty; an element that
 * is on no list may be linked to itself (list_init) and can then be removed
 * any number of times.
 */
#ifndef Q2_BASE_LIST_H
#define Q2_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void
list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool
list_empty(const struct list *l)
{
	return l->next == l;
}

/* Insert at the end of the list that starts at head. */
static inline void
list_append(struct list *head, struct list *el)
{
	el->prev = head->prev;
	el->next = head;
	head->prev->next = el;
	head->prev = el;
}

static inline void
list_remove(struct list *el)
{
	el->prev->next = el->next;
	el->next->prev = el->prev;
	list_init(el);
}

/* The first element, removed from the list, or NULL. */
static inline struct list *
list_pop(struct list *head)
{
	struct list *el = head->next;

	if (el == head)
		return NULL;
	list_remove(el);
	return el;
}

/* Move all elements of from to the end of to. */
static inline void
list_splice(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

/* NOLINTBEGIN(bugprone-macro-parentheses): pos is a name to declare */
#define list_for_each(pos, head) \
	for (struct list *pos = (head)->next; pos != (head); pos = pos->next)
/* NOLINTEND(bugprone-macro-parentheses) */

#endif

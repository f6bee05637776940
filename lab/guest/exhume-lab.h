/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the lab's programs for guests share. */

#ifndef EXHUME_LAB_H
#define EXHUME_LAB_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what)
{
	printf("@@ failed: %s: %s\n", what, strerror(errno));
	fflush(stdout);
	exit(1);
}

/* A system call that must not fail. */
static long must(long result, const char *what)
{
	if (result == -1)
		fail(what);
	return result;
}

#endif

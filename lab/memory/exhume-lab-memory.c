// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Puts a guest's memory to every use that a page frame can have by a process. Whatever a kernel does not offer is
 * left out, and told. Prints "@@ memory ready" once all of it is there, and stays.
 *
 *     exhume-lab-memory DIRECTORY     with files to map in DIRECTORY: small, large
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

enum { PAGE = 4096, MIB = 1 << 20, HUGE = 2 * MIB };

static void told(const char *what, int result)
{
	if (result == -1)
		printf("memory: no %s: %s\n", what, strerror(errno));
	fflush(stdout);
}

static char *map(size_t size, int flags, int fd)
{
	char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

/* No two pages alike, and none of zeros. */
static void fill(char *at, size_t size)
{
	for (size_t done = 0; done < size; done += 8)
		*(uint64_t *)(at + done) = 0x6578686d00000000 + done + (uintptr_t)at;
}

static void look(const volatile char *at, size_t size)
{
	for (size_t done = 0; done < size; done += PAGE)
		(void)at[done];
}

/* Anonymous memory, aligned to huge pages. */
static char *anonymous(size_t size, int advice)
{
	char *at = map(size + HUGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	if (!at)
		return NULL;
	at = (char *)(((uintptr_t)at + HUGE - 1) & -HUGE);
	madvise(at, size, advice);
	fill(at, size);
	return at;
}

static void files(const char *directory)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/large", directory);
	fd = open(path, O_RDWR);
	char *shared = map(4 * MIB, MAP_SHARED, fd), *private = map(4 * MIB, MAP_PRIVATE, fd);
	told("file to map", shared && private ? 0 : -1);
	if (!shared || !private)
		return;
	look(shared, 4 * MIB);
	/* Copied on write: every other page of this one is anonymous. */
	for (size_t at = 0; at < 2 * MIB; at += 2 * PAGE)
		fill(private + at, PAGE);
	/* Dirty, and not written back. */
	fill(shared + 3 * MIB, 64 * PAGE);
}

static void shared_memory(void)
{
	char *plain = map(2 * MIB, MAP_SHARED | MAP_ANONYMOUS, -1);
	int fd = memfd_create("lab", 0);

	if (plain)
		fill(plain, 2 * MIB);
	if (fd >= 0 && ftruncate(fd, MIB) == 0) {
		char *mapped = map(MIB, MAP_SHARED, fd);

		if (mapped)
			fill(mapped, MIB);
	}
}

static void huge_pages(void)
{
	char *at = map(3 * HUGE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);

	told("hugetlb page", at ? 0 : -1);
	if (at)
		fill(at, 3 * HUGE);
}

/* Written to swap, and a half of it read back: that half is in the swap cache. */
static void swapped(void)
{
	char *at = anonymous(8 * MIB, MADV_NOHUGEPAGE);

	if (!at)
		return;
	told("swap", madvise(at, 8 * MIB, MADV_PAGEOUT));
	look(at, 4 * MIB);
}

/* Pages with one content, for the daemon that makes one of them. */
static void merged(void)
{
	char *at = anonymous(MIB, MADV_MERGEABLE);

	if (at)
		for (size_t page = 0; page < MIB; page += PAGE)
			memset(at + page, 'm', PAGE);
}

/* In a child: the kernel kills who has a broken page. */
static void broken(const char *what, char *at)
{
	if (!at)
		return;
	pid_t child = fork();
	if (child == 0) {
		signal(SIGBUS, SIG_IGN);
		told(what, madvise(at, PAGE, MADV_HWPOISON));
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

static void broken_pages(const char *directory)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/small", directory);
	char *file = map(MIB, MAP_SHARED, open(path, O_RDWR));
	if (file)
		look(file, MIB);
	broken("broken page of a file", file ? file + 5 * PAGE : NULL);
	broken("broken page", anonymous(PAGE, MADV_NOHUGEPAGE));
	char *huge = anonymous(HUGE, MADV_HUGEPAGE);
	broken("broken page in a huge one", huge ? huge + 7 * PAGE : NULL);
	char *pool = map(HUGE, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	if (pool)
		fill(pool, HUGE);
	broken("broken page of hugetlbfs", pool ? pool + 9 * PAGE : NULL);
}

int main(int count, char **words)
{
	if (count != 2) {
		fprintf(stderr, "usage: exhume-lab-memory DIRECTORY\n");
		return 2;
	}
	files(words[1]);
	shared_memory();
	huge_pages();
	anonymous(6 * MIB, MADV_NOHUGEPAGE);
	anonymous(8 * MIB, MADV_HUGEPAGE);
	swapped();
	merged();
	broken_pages(words[1]);
	puts("@@ memory ready");
	fflush(stdout);
	for (;;)
		pause();
}

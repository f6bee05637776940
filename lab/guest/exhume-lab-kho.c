// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What busybox cannot do in a guest that hands over by kexec.
 *
 *     exhume-lab-kho preserve DIRECTORY           sessions of files that outlive the kernel (memfds), their bytes copied to
 *                                                 DIRECTORY/SESSION/TOKEN; a process stays that keeps them
 *     exhume-lab-kho load KERNEL INITRD COMMAND   kexec_file_load
 *     exhume-lab-kho kexec                        on to it
 *     exhume-lab-kho retrieve DIRECTORY           the files in the next kernel, copied likewise; a process stays that keeps them
 *     exhume-lab-kho work MARKER                  something to trace
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/reboot.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exhume-lab.h"

/* ---- /dev/liveupdate, of include/uapi/linux/liveupdate.h ---- */

struct session_request {
	uint32_t size;
	int32_t fd;
	char name[64];
};

struct file_request {
	uint32_t size;
	int32_t fd;
	uint64_t token;
};

#define CREATE_SESSION _IO(0xba, 0x00)
#define RETRIEVE_SESSION _IO(0xba, 0x01)
#define PRESERVE_FD _IO(0xba, 0x40)
#define RETRIEVE_FD _IO(0xba, 0x41)

static int device;

static int session(unsigned long request, const char *name)
{
	struct session_request argument = { .size = sizeof(argument) };

	strncpy(argument.name, name, sizeof(argument.name) - 1);
	must(ioctl(device, request, &argument), name);
	return argument.fd;
}

/* ---- The files ---- */

#define LONGEST_NAME "a name as long as one can be, which is sixty-three characters.."
#define PIECES 3

struct piece {
	long offset, size;
};

struct content {
	const char *session;
	uint64_t token;
	long size;
	/* Written; the rest is left as holes. */
	struct piece pieces[PIECES];
	/* In large folios. */
	int huge;
	int seals;
	long position;
};

static const struct content contents[] = {
	{ "vm", 1, (3 << 20) + 777, { { 0, 65536 }, { (1 << 20) + 100, 300000 }, { 3 << 20, 777 } }, .position = 4242 },
	{ "vm", 2, 6 << 20, { { 0, 6 << 20 } }, .huge = 1 },
	{ "vm", 0xfedcba9876543210, 5 << 20, { { 3 << 20, 5000 } }, .huge = 1 },
	{ "vm", 3, 0 },
	{ "vm", 4, 12345, { { 0, 12345 } }, .seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE },
	{ LONGEST_NAME, 0, 1, { { 0, 1 } } },
};

#define CONTENTS (sizeof(contents) / sizeof(*contents))

/* More than a page of entries of either list takes. */
#define MANY "many"
#define MANY_FILES 70
#define MANY_SESSIONS 60

static struct content one_of_many(int index)
{
	return (struct content){ MANY, 1000 + index, 1 + 1500 * index % 9000, { { 0, 1 + 1500 * index % 9000 } } };
}

static uint64_t state;

static void fill(char *at, long size)
{
	for (long done = 0; done < size; done++) {
		state = state * 6364136223846793005 + 1442695040888963407;
		at[done] = state >> 56;
	}
}

/* Whether files that are made from now on have large folios. */
static void set_huge(int huge)
{
	int setting = must(open("/sys/kernel/mm/transparent_hugepage/shmem_enabled", O_WRONLY), "shmem_enabled");
	const char *word = huge ? "always" : "never";

	must(write(setting, word, strlen(word)), "shmem_enabled");
	close(setting);
}

static int make(const struct content *content)
{
	char name[32];

	snprintf(name, sizeof(name), "lab-%llx", (unsigned long long)content->token);
	set_huge(content->huge);
	int file = must(memfd_create(name, MFD_ALLOW_SEALING), "memfd_create");

	must(ftruncate(file, content->size), "ftruncate");
	for (const struct piece *piece = content->pieces; piece < content->pieces + PIECES && piece->size; piece++) {
		char *bytes = malloc(piece->size);

		fill(bytes, piece->size);
		must(pwrite(file, bytes, piece->size, piece->offset), "pwrite");
		free(bytes);
	}
	if (content->seals)
		must(fcntl(file, F_ADD_SEALS, content->seals), "F_ADD_SEALS");
	must(lseek(file, content->position, SEEK_SET), "lseek");
	return file;
}

static void copy(const char *directory, const struct content *content, int file)
{
	static char buffer[1 << 16];
	char *path;
	long offset = 0, length;

	must(asprintf(&path, "%s/%s", directory, content->session), "asprintf");
	mkdir(directory, 0755);
	mkdir(path, 0755);
	free(path);
	must(asprintf(&path, "%s/%s/%llu", directory, content->session, (unsigned long long)content->token), "asprintf");
	int out = must(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644), path);
	while ((length = must(pread(file, buffer, sizeof(buffer), offset), path)) > 0) {
		must(write(out, buffer, length), path);
		offset += length;
	}
	close(out);
	free(path);
}

static void preserve_file(const char *directory, const struct content *content, int session)
{
	struct file_request argument = { .size = sizeof(argument), .token = content->token, .fd = make(content) };

	must(ioctl(session, PRESERVE_FD, &argument), "preserving a file");
	copy(directory, content, argument.fd);
	/* The session keeps it. */
	close(argument.fd);
}

/* Leaves a process with all that is open. */
static void stay(const char *name)
{
	fflush(stdout);
	if (must(fork(), "fork"))
		exit(0);
	prctl(PR_SET_NAME, name);
	for (;;)
		pause();
}

static void preserve(const char *directory)
{
	int vm = session(CREATE_SESSION, "vm"), longest = session(CREATE_SESSION, LONGEST_NAME);

	for (const struct content *content = contents; content < contents + CONTENTS; content++)
		preserve_file(directory, content, strcmp(content->session, "vm") ? longest : vm);
	int many = session(CREATE_SESSION, MANY);
	for (int index = 0; index < MANY_FILES; index++) {
		struct content content = one_of_many(index);

		preserve_file(directory, &content, many);
	}
	for (int index = 0; index < MANY_SESSIONS; index++) {
		char name[16];

		snprintf(name, sizeof(name), "empty %d", index);
		session(CREATE_SESSION, name);
	}
	stay("lab keeper");
}

static void retrieve_file(const char *directory, const struct content *content, int session)
{
	struct file_request argument = { .size = sizeof(argument), .token = content->token };

	must(ioctl(session, RETRIEVE_FD, &argument), "retrieving a file");
	copy(directory, content, argument.fd);
}

static void retrieve(const char *directory)
{
	int vm = session(RETRIEVE_SESSION, "vm"), longest = session(RETRIEVE_SESSION, LONGEST_NAME);

	for (const struct content *content = contents; content < contents + CONTENTS; content++)
		retrieve_file(directory, content, strcmp(content->session, "vm") ? longest : vm);
	int many = session(RETRIEVE_SESSION, MANY);
	for (int index = 0; index < MANY_FILES; index++) {
		struct content content = one_of_many(index);

		retrieve_file(directory, &content, many);
	}
	stay("lab heir");
}

/* ---- kexec ---- */

static void load(const char *kernel, const char *initrd, const char *command_line)
{
	int image = must(open(kernel, O_RDONLY), kernel), archive = must(open(initrd, O_RDONLY), initrd);

	must(syscall(SYS_kexec_file_load, image, archive, strlen(command_line) + 1, command_line, 0UL), "kexec_file_load");
}

/* ---- work ---- */

static void mark(int markers, const char *text)
{
	must(write(markers, text, strlen(text)), "trace_marker");
}

static void work(const char *marker_path)
{
	int markers = must(open(marker_path, O_WRONLY), marker_path);
	char text[256] = "";

	mark(markers, "hello from the old kernel\n");
	mark(markers, "two\nlines\n");
	for (int round = 0; round < 20; round++) {
		snprintf(text, sizeof(text), "/tmp/lab-%d", round);
		int file = must(open(text, O_RDWR | O_CREAT, 0600), text);

		must(pwrite(file, text, sizeof(text), 0), text);
		must(pread(file, text, sizeof(text), 0), text);
		close(file);
		must(unlink(text), text);
		if (open("/no/such/file", O_RDONLY) >= 0)
			fail("open");
	}
	for (int round = 0; round < 5; round++) {
		int child = must(fork(), "fork");

		if (child == 0) {
			execl("/bin/busybox", "true", NULL);
			_exit(1);
		}
		must(waitpid(child, NULL, 0), "waitpid");
	}
	mark(markers, "the work is done\n");
}

int main(int count, char **words)
{
	const char *command = count > 1 ? words[1] : "";

	if (count == 3 && (!strcmp(command, "preserve") || !strcmp(command, "retrieve"))) {
		device = must(open("/dev/liveupdate", O_RDWR), "/dev/liveupdate");
		(!strcmp(command, "preserve") ? preserve : retrieve)(words[2]);
	} else if (count == 5 && !strcmp(command, "load")) {
		load(words[2], words[3], words[4]);
	} else if (count == 2 && !strcmp(command, "kexec")) {
		must(syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL), "reboot");
	} else if (count == 3 && !strcmp(command, "work")) {
		work(words[2]);
	} else {
		return 2;
	}
	return 0;
}

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What busybox cannot do in a guest whose kernel traces.
 *
 *     exhume-lab-trace copy FROM TO NAME...   the files of these names in FROM and below, by reading them to their end
 *                                             (tracefs tells no sizes); all files of directories named "options",
 *                                             none of those named "events", only small ones of those named "cpuN"
 *     exhume-lab-trace probe                  where uprobe_me() is in this program's file
 *     exhume-lab-trace work MARKERS RAW       a bit of everything that events tell of; MARKERS and RAW are
 *                                             the trace_marker and trace_marker_raw to write to
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "exhume-lab.h"

/* ---- copy ---- */

static char **wanted;

static int is_wanted(const char *name)
{
	for (char **one = wanted; *one; one++)
		if (!strcmp(*one, name))
			return 1;
	return 0;
}

static void make_parents(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		mkdir(path, 0755);
		*slash = '/';
	}
}

/* The text of one CPU again is not worth its time. */
static int is_text_again(const char *directory, const char *name)
{
	return strstr(directory, "/per_cpu/cpu") && (!strcmp(name, "trace") || !strcmp(name, "snapshot"));
}

static void copy_file(const char *from, char *to)
{
	static char buffer[1 << 18];
	/* A raw page for each read; without waiting for more of them. */
	int in = open(from, O_RDONLY | O_NONBLOCK);
	long length;

	if (in < 0)
		return;
	make_parents(to);
	int out = must(open(to, O_WRONLY | O_CREAT | O_TRUNC, 0644), to);
	while ((length = read(in, buffer, sizeof(buffer))) > 0)
		must(write(out, buffer, length), to);
	close(in);
	close(out);
}

static void copy(const char *from, const char *to, int all)
{
	DIR *directory = opendir(from);
	struct dirent *entry;

	if (!directory)
		return;
	while ((entry = readdir(directory))) {
		char *source, *target;
		struct stat status;

		if (entry->d_name[0] == '.')
			continue;
		must(asprintf(&source, "%s/%s", from, entry->d_name), "asprintf");
		must(asprintf(&target, "%s/%s", to, entry->d_name), "asprintf");
		if (lstat(source, &status) == 0) {
			if (S_ISDIR(status.st_mode)) {
				if (strcmp(entry->d_name, "events"))
					copy(source, target, !strcmp(entry->d_name, "options"));
			} else if (S_ISREG(status.st_mode) && (all || is_wanted(entry->d_name)) &&
				   !is_text_again(from, entry->d_name)) {
				copy_file(source, target);
			}
		}
		free(source);
		free(target);
	}
	closedir(directory);
}

/* ---- work ---- */

extern char __executable_start;

struct pair {
	short first;
	long long second;
};

int __attribute__((noinline, noclone)) uprobe_me(int number, const char *text, struct pair *pair)
{
	asm volatile("" : : "r"(text), "r"(pair) : "memory");
	return number * 2;
}

static int markers, raw_markers;

static void mark(const char *text)
{
	must(write(markers, text, strlen(text)), "trace_marker");
}

static void mark_all(void)
{
	char text[64];
	struct {
		unsigned id;
		unsigned char data[21];
	} __attribute__((packed)) raw = { .id = 0x1234 };

	mark("hello from the lab\n");
	mark("without a newline");
	mark("two\nlines\n");
	mark("percent %d %s and \ttab, caf\303\251\n");
	snprintf(text, sizeof(text), "B|%d|outer", getpid());
	mark(text);
	snprintf(text, sizeof(text), "B|%d|inner", getpid());
	mark(text);
	snprintf(text, sizeof(text), "E|%d", getpid());
	mark(text);
	snprintf(text, sizeof(text), "E|%d", getpid());
	mark(text);
	snprintf(text, sizeof(text), "C|%d|counter|42", getpid());
	mark(text);
	for (unsigned length = 0; length <= sizeof(raw.data); length += 7) {
		raw.id += length;
		memset(raw.data, 0x40 + length, sizeof(raw.data));
		must(write(raw_markers, &raw, sizeof(raw.id) + length), "trace_marker_raw");
	}
}

static void files(void)
{
	char text[512];
	int file = must(open("/tmp/lab-file", O_RDWR | O_CREAT, 0600), "open");

	memset(text, 'x', sizeof(text));
	for (int round = 0; round < 20; round++)
		must(pwrite(file, text, sizeof(text), round * 4096), "pwrite");
	for (int round = 0; round < 20; round++)
		must(pread(file, text, sizeof(text), round * 4096), "pread");
	void *map = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (map == MAP_FAILED)
		fail("mmap");
	memset(map, 'y', 65536);
	must(msync(map, 65536, MS_SYNC), "msync");
	must(munmap(map, 65536), "munmap");
	must(fsync(file), "fsync");
	must(rename("/tmp/lab-file", "/tmp/lab-renamed"), "rename");
	must(unlink("/tmp/lab-renamed"), "unlink");
	close(file);
	if (open("/no/such/file", O_RDONLY) >= 0)
		fail("open");
}

static void *echo_server(void *argument)
{
	int listener = (int)(long)argument;
	int peer = must(accept(listener, NULL, NULL), "accept");
	char text[2048];
	long length;

	prctl(PR_SET_NAME, "lab server");
	while ((length = read(peer, text, sizeof(text))) > 0)
		must(write(peer, text, length), "write");
	close(peer);
	return NULL;
}

static void tcp(int family)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct sockaddr *address = family == AF_INET ? (void *)&four : (void *)&six;
	socklen_t size = family == AF_INET ? sizeof(four) : sizeof(six);
	int listener = socket(family, SOCK_STREAM, 0);
	pthread_t thread;
	char text[1500] = "";

	if (listener < 0 || bind(listener, address, size) < 0)
		return;
	must(listen(listener, 1), "listen");
	must(getsockname(listener, address, &size), "getsockname");
	if (pthread_create(&thread, NULL, echo_server, (void *)(long)listener))
		fail("thread");
	int client = must(socket(family, SOCK_STREAM, 0), "socket");
	must(connect(client, address, size), "connect");
	for (int round = 0; round < 8; round++) {
		must(write(client, text, sizeof(text)), "write");
		must(recv(client, text, sizeof(text), MSG_WAITALL), "recv");
	}
	close(client);
	pthread_join(thread, NULL);
	close(listener);
}

static void udp(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) }, .sin_port = htons(9) };
	int sender = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");

	for (int round = 0; round < 4; round++)
		sendto(sender, "datagram", 8, 0, (void *)&address, sizeof(address));
	close(sender);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *contender(void *argument)
{
	prctl(PR_SET_NAME, "lab contender");
	for (int round = 0; round < 50; round++) {
		pthread_mutex_lock(&lock);
		nanosleep(&(struct timespec){ .tv_nsec = 1000 }, NULL);
		pthread_mutex_unlock(&lock);
	}
	return argument;
}

static void on_signal(int number)
{
	(void)number;
}

static void processes(void)
{
	pthread_t threads[3];
	struct itimerspec soon = { .it_value = { .tv_nsec = 1000000 } };
	timer_t timer;

	for (int one = 0; one < 3; one++)
		if (pthread_create(&threads[one], NULL, contender, NULL))
			fail("thread");
	signal(SIGUSR1, on_signal);
	signal(SIGALRM, on_signal);
	must(kill(getpid(), SIGUSR1), "kill");
	must(timer_create(CLOCK_MONOTONIC, NULL, &timer), "timer_create");
	must(timer_settime(timer, 0, &soon, NULL), "timer_settime");
	for (int round = 0; round < 5; round++) {
		int child = must(fork(), "fork");
		if (child == 0) {
			execl("/bin/busybox", "true", NULL);
			_exit(1);
		}
		/* The timer's signal may come here. */
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
	}
	for (int one = 0; one < 3; one++)
		pthread_join(threads[one], NULL);
	timer_delete(timer);
}

static void polling(void)
{
	int ends[2], poll = must(epoll_create1(0), "epoll_create1");
	struct epoll_event event = { .events = EPOLLIN };

	must(pipe(ends), "pipe");
	must(epoll_ctl(poll, EPOLL_CTL_ADD, ends[0], &event), "epoll_ctl");
	must(write(ends[1], "x", 1), "write");
	must(epoll_wait(poll, &event, 1, 1000), "epoll_wait");
	close(ends[0]);
	close(ends[1]);
	close(poll);
}

static void work(const char *marker_path, const char *raw_path)
{
	struct pair pair = { .first = -7, .second = 0x123456789abcdefLL };

	markers = must(open(marker_path, O_WRONLY), marker_path);
	raw_markers = must(open(raw_path, O_WRONLY), raw_path);
	mark_all();
	for (int number = 0; number < 4; number++)
		uprobe_me(number, "text for a probe", &pair);
	files();
	polling();
	tcp(AF_INET);
	tcp(AF_INET6);
	udp();
	processes();
	uprobe_me(1000, "the end", &pair);
	mark("the work is done\n");
}

int main(int count, char **words)
{
	if (count >= 5 && !strcmp(words[1], "copy")) {
		wanted = words + 4;
		copy(words[2], words[3], 0);
	} else if (count == 2 && !strcmp(words[1], "probe")) {
		printf("0x%lx\n", (unsigned long)((char *)uprobe_me - &__executable_start));
	} else if (count == 4 && !strcmp(words[1], "work")) {
		work(words[2], words[3]);
	} else {
		return 2;
	}
	return 0;
}

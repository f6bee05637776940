// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Leaves secrets of users where a kernel keeps them, for what must not be in a dump that is given to others.
 * Each is "s3cret-PLACE-NUMBER", put together only here. Prints "@@ user ready" once all are there, and stays.
 *
 *     exhume-lab-secrets NUMBER ...    whatever follows on the command line and in the environment is secret, too
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "exhume-lab.h"

/* linux/keyctl.h */
enum { USER_KEYRING = -4 };

static const char *number;

/* The secret of a place, in memory that is cleared again: only what the place keeps is to be found. */
static char secret[64];

static size_t make(const char *place)
{
	return snprintf(secret, sizeof(secret), "s3cret-%s-%s", place, number);
}

static void put(int fd, const char *place)
{
	must(write(fd, secret, make(place)), place);
}

static void pipes(void)
{
	int ends[2], read_out[2];
	char byte[64];

	must(pipe(ends), "pipe");
	put(ends[1], "pipe");
	/* Part of what was written is read: it stays in the page. */
	put(ends[1], "pipe-half");
	must(read(ends[0], byte, 30), "read");
	must(pipe(read_out), "pipe");
	put(read_out[1], "pipe-spare");
	must(read(read_out[0], byte, sizeof(byte)), "read");
	memset(byte, 0, sizeof(byte));
}

static void unix_sockets(void)
{
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	put(pair[0], "unix");
	must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), "socketpair");
	put(pair[0], "unix-datagram");
}

static int inet(int type, int port, int client)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = must(socket(AF_INET, type, 0), "socket");

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (client)
		must(connect(fd, (struct sockaddr *)&address, sizeof(address)), "connect");
	else
		must(bind(fd, (struct sockaddr *)&address, sizeof(address)), "bind");
	return fd;
}

static void inet_sockets(void)
{
	int server = inet(SOCK_STREAM, 7001, 0);

	must(listen(server, 5), "listen");
	int client = inet(SOCK_STREAM, 7001, 1);
	int accepted = must(accept(server, NULL, NULL), "accept");
	put(client, "tcp");
	put(accepted, "tcp-back");
	inet(SOCK_DGRAM, 7002, 0);
	put(inet(SOCK_DGRAM, 7002, 1), "udp");
}

static void terminals(void)
{
	int master = must(posix_openpt(O_RDWR | O_NOCTTY), "openpt");

	must(grantpt(master), "grantpt");
	must(unlockpt(master), "unlockpt");
	int slave = must(open(ptsname(master), O_RDWR | O_NOCTTY), "pts");
	/* Typed and not ended by a newline; echoed; and written by a program. */
	put(master, "typed");
	put(slave, "printed");
	int console = open("/dev/tty2", O_RDWR | O_NOCTTY);
	if (console >= 0)
		put(console, "screen");
}

static void keys(void)
{
	size_t length = make("key");

	must(syscall(SYS_add_key, "user", "exhume", secret, length, USER_KEYRING), "key");
	length = make("logon");
	must(syscall(SYS_add_key, "logon", "exhume:lab", secret, length, USER_KEYRING), "logon key");
}

static void messages(void)
{
	struct { long type; char text[6000]; } message = { 1, "" };
	struct mq_attr attributes = { .mq_maxmsg = 4, .mq_msgsize = 256 };
	int queue = must(msgget(IPC_PRIVATE, IPC_CREAT | 0600), "msgget");

	make("message");
	strcpy(message.text, secret);
	/* Behind the first page of a message: in its second segment. */
	make("message-segment");
	strcpy(message.text + 5000, secret);
	must(msgsnd(queue, &message, sizeof(message.text), 0), "msgsnd");
	memset(&message, 0, sizeof(message));
	mqd_t posix = must(mq_open("/exhume", O_RDWR | O_CREAT, 0600, &attributes), "mq_open");
	must(mq_send(posix, secret, make("posix-message"), 1), "mq_send");
	/* Taken out again: free objects of the slab allocator, of several sizes. A queue holds 16 KiB. */
	for (int size = 64; size <= 1024; size *= 2) {
		for (int round = 0; round < 8; round++) {
			message.type = 2;
			make("freed");
			strcpy(message.text, secret);
			must(msgsnd(queue, &message, size, IPC_NOWAIT), "msgsnd");
		}
		for (int round = 0; round < 8; round++)
			must(msgrcv(queue, &message, sizeof(message.text), 2, IPC_NOWAIT), "msgrcv");
	}
	memset(&message, 0, sizeof(message));
}

static void memory(void)
{
	int file = must(open("/tmp/secret", O_RDWR | O_CREAT, 0600), "open");
	char *own = malloc(100000);

	put(file, "file");
	make("memory");
	strcpy(own + 50000, secret);
	/* A process that is gone: its pages are free. */
	if (must(fork(), "fork") == 0) {
		make("gone");
		for (int at = 0; at < 90000; at += 4096)
			strcpy(own + at, secret);
		_exit(0);
	}
	sleep(1);
}

int main(int count, char **words)
{
	if (count < 2)
		return 2;
	number = words[1];
	pipes();
	unix_sockets();
	inet_sockets();
	terminals();
	keys();
	messages();
	memory();
	memset(secret, 0, sizeof(secret));
	puts("@@ user ready");
	fflush(stdout);
	for (;;)
		pause();
}

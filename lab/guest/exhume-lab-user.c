// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What busybox cannot do in a guest of the lab: many threads, every kind of open file, memory until there is none.
 * Each subcommand prints "@@ user ready" once all of it is there, and stays.
 *
 *     exhume-lab-user threads PROCESSES THREADS   so many processes of so many threads each
 *     exhume-lab-user busy                        a family of processes, each with something to show
 *     exhume-lab-user hog                         takes memory until the kernel says no
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <net/ethernet.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "exhume-lab.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

static void stay(void)
{
	for (;;)
		pause();
}

/* Children tell through this pipe that they are where they should be. */
static int told[2];

static void tell(void)
{
	must(write(told[1], "x", 1), "tell");
}

static void wait_for(int count)
{
	char byte;

	while (count-- > 0)
		must(read(told[0], &byte, 1), "wait");
}

static void ready(void)
{
	puts("@@ user ready");
	fflush(stdout);
}

/* ---- threads ---- */

enum { STACK = 2048 };

/* Runs on 2 KiB of stack: system calls only. */
static int thread(void *number)
{
	/* Every other one of another name, so that a list can be told to be complete. */
	syscall(SYS_prctl, PR_SET_NAME, (long)number % 2 ? "odd" : "even", 0, 0, 0);
	for (;;)
		syscall(SYS_pause);
	return 0;
}

static void many_threads(long processes, long threads)
{
	const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;

	for (long process = 0; process < processes; process++) {
		if (must(fork(), "fork") != 0)
			continue;
		char name[32];
		snprintf(name, sizeof(name), "process-%ld", process);
		prctl(PR_SET_NAME, name);
		char *stacks = mmap(NULL, threads * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (stacks == MAP_FAILED)
			fail("mmap");
		/* The process itself is the first thread. */
		for (long number = 1; number < threads; number++)
			must(clone(thread, stacks + (number + 1) * STACK, flags, (void *)number), "clone");
		tell();
		stay();
	}
	wait_for(processes);
	ready();
	stay();
}

/* ---- busy ---- */

/* A child that prepares something, tells, and does what stays. */
static pid_t child(const char *name, void (*prepare)(void), void (*last)(void))
{
	pid_t pid = must(fork(), name);

	if (pid != 0) {
		wait_for(1);
		return pid;
	}
	prctl(PR_SET_NAME, name);
	prepare();
	tell();
	last();
	exit(0);
}

static void nothing(void)
{
}

static void spin(void)
{
	for (volatile unsigned long count = 0;; count++)
		;
}

static void files(void)
{
	int ends[2];
	struct itimerspec in = { .it_value = { .tv_sec = 5000 }, .it_interval = { .tv_sec = 7 } };
	struct epoll_event event = { .events = EPOLLIN };
	sigset_t signals;

	must(mkdir("/tmp/lab", 0755), "mkdir");
	must(chdir("/tmp/lab"), "chdir");
	int plain = must(open("/tmp/lab/plain file", O_RDWR | O_CREAT | O_APPEND, 0644), "open");
	must(write(plain, "twelve bytes", 12), "write");
	must(open("/tmp/lab/plain file", O_RDONLY), "open");
	must(open("/tmp/lab/deleted", O_RDWR | O_CREAT, 0600), "open");
	must(unlink("/tmp/lab/deleted"), "unlink");
	must(open("/tmp/lab", O_RDONLY | O_DIRECTORY), "open");
	must(open("/proc/self/status", O_RDONLY), "open");
	must(open("/sys/kernel", O_PATH), "open");
	must(open("/dev/null", O_WRONLY), "open");
	must(open("/mnt/tmpfs/inside", O_RDWR | O_CREAT, 0644), "open");
	must(open("/mnt/bound/inside", O_RDONLY), "open");
	must(open("/mnt/overlay/upper", O_RDWR | O_CREAT, 0644), "open");
	must(pipe(ends), "pipe");
	must(write(ends[1], "in the pipe", 11), "write");
	must(mkfifo("/tmp/lab/fifo", 0644), "mkfifo");
	must(open("/tmp/lab/fifo", O_RDWR), "open");
	int memory = must(memfd_create("a memory file", 0), "memfd");
	must(ftruncate(memory, 1 << 16), "ftruncate");
	event.data.fd = must(eventfd(3, 0), "eventfd");
	int poll = must(epoll_create1(0), "epoll");
	must(epoll_ctl(poll, EPOLL_CTL_ADD, event.data.fd, &event), "epoll_ctl");
	must(timerfd_settime(must(timerfd_create(CLOCK_MONOTONIC, 0), "timerfd"), 0, &in, NULL), "timerfd");
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	must(signalfd(-1, &signals, 0), "signalfd");
	int watch = must(inotify_init(), "inotify");
	must(inotify_add_watch(watch, "/tmp/lab", IN_CREATE), "inotify");
	must(syscall(SYS_pidfd_open, getpid(), 0), "pidfd");
	/* A number beyond the first table of 64 files. */
	must(dup2(plain, 200), "dup2");
}

static int unix_socket(int type, const char *name, int length, int listening)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = must(socket(AF_UNIX, type, 0), "socket");

	memcpy(address.sun_path, name, length);
	must(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t) + length), "bind");
	if (listening)
		must(listen(fd, 5), "listen");
	return fd;
}

static int tcp_server(const char *host, int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = must(socket(AF_INET, SOCK_STREAM, 0), "socket");

	inet_pton(AF_INET, host, &address.sin_addr);
	must(bind(fd, (struct sockaddr *)&address, sizeof(address)), "bind");
	must(listen(fd, 9), "listen");
	return fd;
}

static void inet6(int type, int port, int listening, int connected)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_loopback };
	int fd = must(socket(AF_INET6, type, 0), "socket");

	must(bind(fd, (struct sockaddr *)&address, sizeof(address)), "bind6");
	if (listening)
		must(listen(fd, 3), "listen");
	if (!connected)
		return;
	int client = must(socket(AF_INET6, type, 0), "socket");
	must(connect(client, (struct sockaddr *)&address, sizeof(address)), "connect6");
	must(accept(fd, NULL, NULL), "accept");
}

static int tcp_client(int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = must(socket(AF_INET, SOCK_STREAM, 0), "socket");

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(connect(fd, (struct sockaddr *)&address, sizeof(address)), "connect");
	return fd;
}

static void sockets(void)
{
	int pair[2];
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(7004) };
	struct sockaddr_nl netlink = { .nl_family = AF_NETLINK };

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	/* Listening: on one address, on all, and on IPv6; connected, with bytes on their way; half closed. */
	int server = tcp_server("127.0.0.1", 7001);
	int client = tcp_client(7001);
	must(accept(server, NULL, NULL), "accept");
	must(write(client, "nobody reads this", 17), "write");
	int half = tcp_client(7001);
	must(accept(server, NULL, NULL), "accept");
	must(shutdown(half, SHUT_WR), "shutdown");
	tcp_server("0.0.0.0", 7003);
	inet6(SOCK_STREAM, 7002, 1, 1);
	inet6(SOCK_DGRAM, 7005, 0, 0);
	int udp = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
	must(bind(udp, (struct sockaddr *)&address, sizeof(address)), "bind");
	int sender = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
	must(connect(sender, (struct sockaddr *)&address, sizeof(address)), "connect");
	must(write(sender, "datagram", 8), "write");
	must(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), "raw");
	must(bind(must(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), "netlink"), (struct sockaddr *)&netlink,
		  sizeof(netlink)), "bind");
	/* A socket of each kind of Unix: with a path, without a name, abstract. */
	unix_socket(SOCK_STREAM, "/tmp/stream.sock", 17, 1);
	unix_socket(SOCK_DGRAM, "/tmp/datagram.sock", 19, 0);
	unix_socket(SOCK_SEQPACKET, "\0abstract", 9, 1);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	must(write(pair[0], "to the other end", 16), "write");
}

static void ipc(void)
{
	struct { long type; char text[32]; } message = { 1, "a message" };

	int segment = must(shmget(0x1234, 3 * 4096, IPC_CREAT | 0640), "shmget");
	char *attached = shmat(segment, NULL, 0);
	if (attached == (char *)-1)
		fail("shmat");
	memset(attached, 1, 2 * 4096);
	must(shmget(0x1235, 8192, IPC_CREAT | 0600), "shmget");
	int semaphores = must(semget(0x2345, 3, IPC_CREAT | 0600), "semget");
	must(semctl(semaphores, 1, SETVAL, 5), "semctl");
	must(semget(IPC_PRIVATE, 1, 0666), "semget");
	int queue = must(msgget(0x3456, IPC_CREAT | 0644), "msgget");
	must(msgsnd(queue, &message, 10, 0), "msgsnd");
	must(msgsnd(queue, &message, 20, 0), "msgsnd");
}

static void wait_for_message(void)
{
	struct { long type; char text[32]; } message;

	/* Of a type that never comes. */
	msgrcv(msgget(0x3456, 0), &message, sizeof(message.text), 99, 0);
}

static void timers(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2 };
	struct itimerspec in = { .it_value = { .tv_sec = 4000 } };
	struct itimerval real = { .it_value = { .tv_sec = 3000 } };
	timer_t timer;

	must(timer_create(CLOCK_MONOTONIC, &event, &timer), "timer_create");
	must(timer_settime(timer, 0, &in, NULL), "timer_settime");
	must(timer_create(CLOCK_REALTIME, &event, &timer), "timer_create");
	must(timer_settime(timer, 0, &in, NULL), "timer_settime");
	must(setitimer(ITIMER_REAL, &real, NULL), "setitimer");
}

static void long_sleep(void)
{
	struct timespec time = { .tv_sec = 12345 };

	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

/* Memory of every kind for a list of areas; some of it swapped out. */
static void memory(void)
{
	const size_t size = 16 << 20;
	char *anonymous = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int file = must(open("/mnt/tmpfs/mapped", O_RDWR | O_CREAT, 0600), "open");

	if (anonymous == MAP_FAILED)
		fail("mmap");
	for (size_t at = 0; at < size; at += 4096)
		*(size_t *)(anonymous + at) = at;
	must(madvise(anonymous, size / 2, MADV_PAGEOUT), "madvise");
	must(ftruncate(file, 1 << 20), "ftruncate");
	if (mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) == MAP_FAILED)
		fail("mmap");
	if (mmap((void *)0x500000000000, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED)
		fail("mmap");
	char *locked = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(mlock(locked, 1 << 16), "mlock");
	/* Many areas: their tree has several levels. */
	for (int area = 0; area < 200; area++) {
		char *at = (char *)0x600000000000 + area * 3 * 4096L;
		if (mmap(at, 4096, area % 2 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
			fail("mmap");
	}
}

static void *named_thread(void *name)
{
	prctl(PR_SET_NAME, name);
	tell();
	stay();
	return NULL;
}

static void threads(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, named_thread, "worker one");
	pthread_create(&thread, NULL, named_thread, "worker two");
	wait_for(2);
}

static void locked_mutex(void)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&mutex);
	pthread_mutex_lock(&mutex);
}

static void realtime(void)
{
	struct sched_param parameter = { .sched_priority = 50 };

	must(sched_setscheduler(0, SCHED_FIFO, &parameter), "sched_setscheduler");
}

static void lazy(void)
{
	struct sched_param parameter = { 0 };

	must(sched_setscheduler(0, SCHED_IDLE, &parameter), "sched_setscheduler");
}

static void user(void)
{
	must(setpriority(PRIO_PROCESS, 0, 5), "setpriority");
	must(setgid(1000), "setgid");
	must(setuid(1000), "setuid");
}

/* Busy in user mode, and bound there: one CPU is caught at it, and others wait in its queue. */
static void bind_to_last(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(1, &set);
	must(sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity");
}

static void traced(void)
{
	must(ptrace(PTRACE_TRACEME, 0, NULL, NULL), "ptrace");
}

static void stop(void)
{
	raise(SIGSTOP);
}

static void read_pipe(void)
{
	int ends[2];
	char byte;

	must(pipe(ends), "pipe");
	must(read(ends[0], &byte, 1), "read");
}

static void lock_file(void)
{
	struct flock lock = { .l_type = F_WRLCK };
	int fd = must(open("/tmp/locked", O_RDWR | O_CREAT, 0600), "open");

	must(fcntl(fd, F_SETLK, &lock), "lock");
}

static void own_mounts(void)
{
	must(unshare(CLONE_NEWNS | CLONE_NEWUTS), "unshare");
	must(system("mount -t tmpfs -o size=1m private /mnt/private"), "mount");
	must(sethostname("another", 7), "sethostname");
}

static void own_net(void)
{
	must(unshare(CLONE_NEWNET), "unshare");
	must(system("ip link set lo up"), "ip");
	tcp_server("127.0.0.1", 7099);
}

static void own_pids(void)
{
	must(unshare(CLONE_NEWPID), "unshare");
	child("first inside", nothing, stay);
}

static void busy(void)
{
	child("files", files, stay);
	child("sockets", sockets, stay);
	child("ipc", ipc, wait_for_message);
	child("timers", timers, long_sleep);
	child("memory", memory, stay);
	child("threads", threads, stay);
	child("futex", nothing, locked_mutex);
	child("real time", realtime, stay);
	child("lazy", lazy, stay);
	child("user 1000", user, stay);
	child("odd) R (name", nothing, stay);
	child("reads a pipe", nothing, read_pipe);
	child("file lock", lock_file, stay);
	child("own mounts", own_mounts, stay);
	child("own net", own_net, stay);
	child("own pids", own_pids, stay);
	/* A zombie: nobody waits for it. */
	child("zombie", nothing, nothing);
	child("stopped", nothing, stop);
	child("traced", traced, stop);
	for (int number = 0; number < 3; number++)
		child("spins", bind_to_last, spin);
	ready();
	stay();
}

/* ---- hog ---- */

static void hog(void)
{
	for (;;) {
		char *more = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (more == MAP_FAILED)
			fail("mmap");
		memset(more, 1, 1 << 20);
	}
}

int main(int count, char **words)
{
	must(pipe(told), "pipe");
	if (count == 4 && strcmp(words[1], "threads") == 0)
		many_threads(atol(words[2]), atol(words[3]));
	else if (count == 2 && strcmp(words[1], "busy") == 0)
		busy();
	else if (count == 2 && strcmp(words[1], "hog") == 0)
		hog();
	fprintf(stderr, "usage: exhume-lab-user threads PROCESSES THREADS | busy | hog\n");
	return 2;
}

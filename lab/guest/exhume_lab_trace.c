// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * trace_printk() in all of its forms, and events of a module. `echo 1 > parameters/go` does everything once.
 */

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/socket.h>
#include <linux/version.h>

/* What is assigned is told once, from 6.10 on. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
#define LAB_ASSIGN_STR(name, text) __assign_str(name)
#else
#define LAB_ASSIGN_STR(name, text) __assign_str(name, text)
#endif

#define CREATE_TRACE_POINTS
#include "exhume_lab_trace.h"

static noinline void print_all(void)
{
	const char *text = "a string of the module";
	unsigned long bits[1] = { 0x8f1 };
	u8 bytes[6] = { 1, 2, 3, 0xaa, 0xbb, 0xcc };
	const char *varying = "%s: not known when it was built: %d\n";

	trace_printk("only text\n");
	trace_printk("%d %u %x %#x %08lx %lld\n", -5, 5U, 0xabcU, 0xabcU, 0x1234UL, -1234567890123LL);
	trace_printk("%s, %.4s, %10s|%-10s|%c%%\n", text, text, "right", "left", 'c');
	trace_printk("%hhd %hd %hhu %zu %*d %-*d|\n", -1, -2, 254, sizeof(bits), 7, 42, 7, 42);
	trace_printk("%ps %pS %pB\n", print_all, (void *)print_all + 4, (void *)print_all + 4);
	trace_printk("%px %pM %*phC %*pbl %pI4\n", (void *)0xffff888000001000UL, bytes, 6, bytes, 12, bits, bytes);
	trace_puts("a string put\n");
	trace_printk(varying, __func__, 7);
	trace_printk("without a newline %d", 1);
	trace_dump_stack(0);
}

static int go(const char *value, const struct kernel_param *parameter)
{
	int round;

	for (round = 0; round < 4; round++) {
		trace_lab_numbers(round);
		trace_lab_strings(round, round == 3 ? "" : "some text");
		trace_lab_addresses(round, round ? (void *)print_all + round : (void *)schedule);
		trace_lab_plain(round == 2 ? 0x123456789aULL : round * 1500);
		trace_lab_other(round);
	}
	print_all();
	return 0;
}

static const struct kernel_param_ops go_operations = { .set = go };
module_param_cb(go, &go_operations, NULL, 0200);

MODULE_DESCRIPTION("Events and trace_printk of a module, for exhume's lab");
MODULE_LICENSE("GPL");

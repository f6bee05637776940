/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events of a module, whose formats use what the kernel's own events seldom do. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM exhume_lab

#if !defined(EXHUME_LAB_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define EXHUME_LAB_TRACE_H

#include <linux/tracepoint.h>

#ifndef EXHUME_LAB_COLOURS
#define EXHUME_LAB_COLOURS
enum exhume_lab_colour { LAB_RED = 3, LAB_GREEN = 5, LAB_BLUE = 0x100 };
#endif

TRACE_DEFINE_ENUM(LAB_RED);
TRACE_DEFINE_ENUM(LAB_GREEN);
TRACE_DEFINE_ENUM(LAB_BLUE);

TRACE_EVENT(lab_numbers,
	TP_PROTO(int round),
	TP_ARGS(round),
	TP_STRUCT__entry(
		__field(s8, byte)
		__field(u16, half)
		__field(int, word)
		__field(s64, wide)
		__field(unsigned long, ulong)
		__field(bool, yes)
		__field(char, letter)
		__array(u32, four, 4)
		__array(u8, six, 6)
	),
	TP_fast_assign(
		int one;

		__entry->byte = -3 - round;
		__entry->half = 65000 + round;
		__entry->word = -123456 * round;
		__entry->wide = -1234567890123LL - round;
		__entry->ulong = ~0UL - round;
		__entry->yes = round & 1;
		__entry->letter = 'a' + round;
		for (one = 0; one < 4; one++)
			__entry->four[one] = one * 1000 + round;
		for (one = 0; one < 6; one++)
			__entry->six[one] = 0xf0 + one + round;
	),
	TP_printk("%d %u %+i|%8d|%-8d|%08x %lld %#lx %lo yes=%d %c %s %%five %s %x.%x %*d %hhx %llu",
		__entry->byte, __entry->half, __entry->word, __entry->word, __entry->word, (unsigned)__entry->word,
		__entry->wide, __entry->ulong, __entry->ulong & 0777, __entry->yes, __entry->letter,
		__print_array(__entry->four, 4, 4), __print_hex(__entry->six, 6), __entry->half >> 8,
		__entry->half & 0xff, 6, __entry->byte * 2, __entry->byte,
		(unsigned long long)(__entry->wide < 0 ? -__entry->wide : __entry->wide) / 1000)
);

TRACE_EVENT(lab_strings,
	TP_PROTO(int round, const char *text),
	TP_ARGS(round, text),
	TP_STRUCT__entry(
		__field(int, colour)
		__field(unsigned int, flags)
		__string(text, text)
		__array(char, fixed, 12)
		__dynamic_array(u16, numbers, round)
		__dynamic_array(u8, bytes, round * 3)
	),
	TP_fast_assign(
		int one;

		__entry->colour = round == 0 ? LAB_RED : round == 1 ? LAB_GREEN : round == 2 ? LAB_BLUE : 77;
		__entry->flags = round * 3;
		LAB_ASSIGN_STR(text, text);
		memset(__entry->fixed, 0, sizeof(__entry->fixed));
		strscpy(__entry->fixed, "fixed text", sizeof(__entry->fixed) - round);
		for (one = 0; one < round; one++)
			((u16 *)__get_dynamic_array(numbers))[one] = 100 * one;
		for (one = 0; one < round * 3; one++)
			((u8 *)__get_dynamic_array(bytes))[one] = one * 17;
	),
	TP_printk("%s flags=%s text=%s fixed=%s numbers=%s length=%d bytes=%s %s",
		__print_symbolic(__entry->colour, { LAB_RED, "red" }, { LAB_GREEN, "green" }, { LAB_BLUE, "blue" }),
		__entry->flags ? __print_flags(__entry->flags, "|", { 1, "ONE" }, { 2, "TWO" }, { 4, "FOUR" }) : "none",
		__get_str(text), __entry->fixed,
		__print_array(__get_dynamic_array(numbers), __get_dynamic_array_len(numbers) / 2, 2),
		__get_dynamic_array_len(bytes),
		__print_hex_str(__get_dynamic_array(bytes), __get_dynamic_array_len(bytes)),
		__entry->colour == LAB_RED ? "is red" : __entry->flags > 3 && !(__entry->flags & 8) ? "many" : "")
);

TRACE_EVENT(lab_addresses,
	TP_PROTO(int round, const void *function),
	TP_ARGS(round, function),
	TP_STRUCT__entry(
		__field(const void *, function)
		__array(u8, mac, 6)
		__array(u8, four, 4)
		__array(u8, sixteen, 16)
		__array(u8, in4, sizeof(struct sockaddr_in))
		__array(u8, in6, sizeof(struct sockaddr_in6))
		__bitmask(bits, 70)
	),
	TP_fast_assign(
		struct sockaddr_in *in4 = (void *)__entry->in4;
		struct sockaddr_in6 *in6 = (void *)__entry->in6;
		unsigned long bits[2] = { 0x8000000100000005UL << round, round };
		int one;

		__entry->function = function;
		for (one = 0; one < 16; one++) {
			__entry->sixteen[one] = round == 1 && one > 3 && one < 14 ? 0 : one * 16 + round;
			if (one < 6)
				__entry->mac[one] = 0x10 * one + round;
			if (one < 4)
				__entry->four[one] = 10 * one + round;
		}
		memset(in4, 0, sizeof(*in4));
		in4->sin_family = AF_INET;
		in4->sin_port = htons(8080 + round);
		memcpy(&in4->sin_addr, __entry->four, 4);
		memset(in6, 0, sizeof(*in6));
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(443);
		memcpy(&in6->sin6_addr, __entry->sixteen, 16);
		__assign_bitmask(bits, bits, 70);
	),
	TP_printk("%ps %pS %pF %px %p null=%p mac=%pM %pMR %pm 4=%pI4 %pi4 6=%pI6 %pi6 %pI6c in=%pISpc %pISc %pISpfc %pISp uuid=%pUb %pUl %pUB hex=%*ph %*phC %*phN bits=%s",
		__entry->function, __entry->function, __entry->function, __entry->function, __entry->function, NULL,
		__entry->mac, __entry->mac, __entry->mac, __entry->four, __entry->four,
		__entry->sixteen, __entry->sixteen, __entry->sixteen,
		(struct sockaddr *)__entry->in4, (struct sockaddr *)__entry->in6, (struct sockaddr *)__entry->in6,
		(struct sockaddr *)__entry->in4,
		__entry->sixteen, __entry->sixteen, __entry->sixteen,
		6, __entry->mac, 6, __entry->mac, 6, __entry->mac, __get_bitmask(bits))
);

DECLARE_EVENT_CLASS(lab_class,
	TP_PROTO(u64 value),
	TP_ARGS(value),
	TP_STRUCT__entry(__field(u64, value)),
	TP_fast_assign(__entry->value = value;),
	TP_printk("value=%llu seconds=%llu.%03llu sizeof=%zu symbolic=%s",
		__entry->value, __entry->value / 1000, __entry->value % 1000, sizeof(__entry->value),
		__print_symbolic_u64(__entry->value, { 0, "zero" }, { 0x123456789aULL, "large" }))
);
DEFINE_EVENT(lab_class, lab_plain, TP_PROTO(u64 value), TP_ARGS(value));
DEFINE_EVENT_PRINT(lab_class, lab_other, TP_PROTO(u64 value), TP_ARGS(value), TP_printk("other %#llx", __entry->value));

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE exhume_lab_trace
#include <trace/define_trace.h>

// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmcsinfo: where this processor keeps the fields of a VMCS.
 *
 * Intel documents how a VMCS is read and written, not how it lies in memory. A
 * dump of a host holds the registers of its guests in VMCSs, so whoever reads
 * one must know. This module asks the processor: a region is filled with a
 * pattern that tells each of its bytes' place, the processor is made to load
 * it, and what VMREAD gives for a field tells where the field is.
 *
 * The answer is an ELF note in the form that Zhang Yanfei's patches of 2012
 * proposed. It stays in memory, where the reader of a dump finds it, and
 * /sys/kernel/vmcsinfo tells its physical address and size, as
 * /sys/kernel/vmcoreinfo does.
 *
 * All of it happens on one CPU with interrupts off. If the CPU is in VMX
 * operation already, KVM's current VMCS is noted down and loaded again; if it is
 * not, it enters VMX operation for the while. Nothing that is KVM's is written.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/elf.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include <asm/asm.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor-flags.h>

#include "fields.h"

#define NOTE_NAME	"VMCSINFO"
#define NOTE_ORDER	1
#define NOTE_BYTES	(PAGE_SIZE << NOTE_ORDER)
#define NOTE_TEXT	(sizeof(struct elf64_note) + ALIGN(sizeof(NOTE_NAME), 4))

/* A VMCS begins with its revision and the abort indicator. */
#define VMCS_HEADER	8
#define VMCS_NONE	(~0ULL)
#define VMX_REVISION	0x7fffffffULL
#define VMX_BYTES(basic) (((basic) >> 32) & 0x1fff)

struct vmcsinfo_note {
	struct elf64_note header;
	char name[ALIGN(sizeof(NOTE_NAME), 4)];
	char text[];
};

static struct vmcsinfo_note *note;

/* What a field of each width reads as; false where the processor has no such. */
struct vmcsinfo_probe {
	u64 value[ARRAY_SIZE(vmcsinfo_fields)];
	bool known[ARRAY_SIZE(vmcsinfo_fields)];
};

/*
 * A VMX instruction: true if it succeeded. It can fail, by the carry or the zero
 * flag, and it faults where VMX operation is off: then it is as good as failed.
 */
#define vmx_instruction(instruction, inputs...)				\
({									\
	bool __done = false;						\
	asm volatile("1: " instruction "\n\t"				\
		     "seta %[done]\n"					\
		     "2:\n\t"						\
		     _ASM_EXTABLE(1b, 2b)				\
		     : [done] "+q" (__done) : inputs : "cc", "memory");	\
	__done;								\
})

static bool vmx_on(u64 region)
{
	return vmx_instruction("vmxon %[region]", [region] "m" (region));
}

static bool vmx_off(void)
{
	return vmx_instruction("vmxoff");
}

static bool vmx_store(u64 *region)
{
	return vmx_instruction("vmptrst (%[region])", [region] "r" (region));
}

static bool vmx_load(u64 region)
{
	return vmx_instruction("vmptrld %[region]", [region] "m" (region));
}

static bool vmx_clear(u64 region)
{
	return vmx_instruction("vmclear %[region]", [region] "m" (region));
}

static bool vmx_read(unsigned long field, u64 *value)
{
	return vmx_instruction("vmread %[field], (%[value])",
			       [field] "r" (field), [value] "r" (value));
}

/*
 * CR4.VMXE for the while. The kernel's own copy of CR4 is left as it is: it is
 * right again before anybody can look, since interrupts are off.
 */
static void write_cr4(unsigned long value)
{
	asm volatile("mov %0, %%cr4" : : "r" (value) : "memory");
}

/*
 * The word at an even offset holds the offset: bits 11:7 in its high byte, over
 * a 1, bits 6:0 in its low byte, over a 0. So the order of bytes shows, too.
 */
static void fill(void *region, size_t bytes)
{
	u16 *words = region;
	size_t at;

	for (at = VMCS_HEADER; at < bytes; at += 2)
		words[at / 2] = ((at >> 7) << 1 | 1) << 8 | (at & 0x7f) << 1;
}

/* VMREAD of a field that the processor does not have leaves an error here. */
#define ERROR_FIELD 0x4400

static void read_fields(struct vmcsinfo_probe *probe, bool error)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(vmcsinfo_fields); i++) {
		u16 encoding = vmcsinfo_fields[i].encoding;
		bool is_error = encoding == ERROR_FIELD;

		if (is_error == error)
			probe->known[i] = vmx_read(encoding, &probe->value[i]);
	}
}

/* Reads the fields of the pattern. In VMX operation, with interrupts off. */
static int probe_fields(void *region, struct vmcsinfo_probe *probe)
{
	u64 pa = virt_to_phys(region);
	u64 before;
	int err = 0;

	/* Whatever the processor has of it goes, so that it takes the pattern. */
	if (!vmx_store(&before) || !vmx_clear(pa))
		return -EIO;
	fill(region, PAGE_SIZE);

	if (vmx_load(pa)) {
		read_fields(probe, true);
		read_fields(probe, false);
		/* The page is given back: nothing may be written to it later. */
		if (!vmx_clear(pa))
			err = -EIO;
	} else {
		err = -EIO;
	}

	if (before != VMCS_NONE && !vmx_load(before))
		pr_err("the VMCS at %#llx cannot be loaded again\n", before);
	return err;
}

/* The same on a CPU that may be in VMX operation, or not yet. */
static int probe_cpu(void *vmxon, void *region, struct vmcsinfo_probe *probe)
{
	unsigned long flags, cr4;
	bool enter, on;
	int err;

	local_irq_save(flags);
	cr4 = __read_cr4();
	enter = !(cr4 & X86_CR4_VMXE);
	if (enter)
		write_cr4(cr4 | X86_CR4_VMXE);
	on = enter && vmx_on(virt_to_phys(vmxon));
	err = enter && !on ? -EBUSY : probe_fields(region, probe);
	if (on)
		on = !vmx_off();
	/* In VMX operation a processor does not let go of the bit. */
	if (enter && !on)
		write_cr4(cr4);
	local_irq_restore(flags);
	return err;
}

/* As wide as the field is: bits 14:13 of its encoding. */
static int field_digits(u16 encoding)
{
	switch (encoding >> 13 & 3) {
	case 0:
		return 4;
	case 2:
		return 8;
	default:
		return 16;
	}
}

static int write_note(u32 revision, const struct vmcsinfo_probe *probe)
{
	size_t room = NOTE_BYTES - NOTE_TEXT;
	unsigned int known = 0;
	size_t length, i;

	length = scnprintf(note->text, room, "REVISION_ID=%x\n", revision);
	for (i = 0; i < ARRAY_SIZE(vmcsinfo_fields); i++) {
		if (!probe->known[i])
			continue;
		length += scnprintf(note->text + length, room - length,
				    "FIELD(%s)=%0*llx\n", vmcsinfo_fields[i].name,
				    field_digits(vmcsinfo_fields[i].encoding),
				    probe->value[i]);
		known++;
	}
	if (length + 1 >= room)
		return -ENOSPC;

	memcpy(note->name, NOTE_NAME, sizeof(NOTE_NAME));
	note->header.n_namesz = sizeof(NOTE_NAME);
	note->header.n_type = 0;
	/* Last: a note with a length is a whole one. */
	smp_wmb();
	WRITE_ONCE(note->header.n_descsz, length);
	pr_info("revision %#x has %u fields\n", revision, known);
	return 0;
}

/* IA32_VMX_BASIC, on a processor that has VMX and firmware that lets us use it. */
static int read_basic(u64 *basic)
{
	u32 low, high;

	if (boot_cpu_data.x86_vendor != X86_VENDOR_INTEL &&
	    boot_cpu_data.x86_vendor != X86_VENDOR_CENTAUR &&
	    boot_cpu_data.x86_vendor != X86_VENDOR_ZHAOXIN) {
		pr_info("this processor has no VMX; on AMD a VMCB has a documented layout\n");
		return -ENODEV;
	}
	if (!boot_cpu_has(X86_FEATURE_VMX)) {
		pr_info("this processor has no VMX, or the firmware turned it off\n");
		return -ENODEV;
	}
	if (rdmsr_safe(MSR_IA32_VMX_BASIC, &low, &high))
		return -ENODEV;
	*basic = (u64)high << 32 | low;
	return VMX_BYTES(*basic) <= PAGE_SIZE ? 0 : -EOPNOTSUPP;
}

static int derive(u64 basic)
{
	u32 revision = basic & VMX_REVISION;
	struct vmcsinfo_probe *probe = kzalloc(sizeof(*probe), GFP_KERNEL);
	u32 *region = (u32 *)get_zeroed_page(GFP_KERNEL);
	u32 *vmxon = (u32 *)get_zeroed_page(GFP_KERNEL);
	int err = -ENOMEM;

	if (probe && region && vmxon) {
		region[0] = revision;
		vmxon[0] = revision;
		err = probe_cpu(vmxon, region, probe);
		if (err)
			pr_err("the processor refused (%d)\n", err);
		else
			err = write_note(revision, probe);
	}
	free_page((unsigned long)vmxon);
	free_page((unsigned long)region);
	kfree(probe);
	return err;
}

static ssize_t vmcsinfo_show(struct kobject *kobj, struct kobj_attribute *attr,
			     char *buf)
{
	return sysfs_emit(buf, "%llx %lx\n", (u64)virt_to_phys(note), NOTE_BYTES);
}

static struct kobj_attribute vmcsinfo_attribute = __ATTR_RO_MODE(vmcsinfo, 0400);

static int __init vmcsinfo_init(void)
{
	u64 basic;
	int err;

	err = read_basic(&basic);
	if (err)
		return err;

	note = (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, NOTE_ORDER);
	if (!note)
		return -ENOMEM;
	err = derive(basic);
	if (!err)
		err = sysfs_create_file(kernel_kobj, &vmcsinfo_attribute.attr);
	if (err)
		free_pages((unsigned long)note, NOTE_ORDER);
	return err;
}

static void __exit vmcsinfo_exit(void)
{
	sysfs_remove_file(kernel_kobj, &vmcsinfo_attribute.attr);
	/* A note that is no more must not be found. */
	memset(note, 0, NOTE_BYTES);
	free_pages((unsigned long)note, NOTE_ORDER);
}

module_init(vmcsinfo_init);
module_exit(vmcsinfo_exit);

MODULE_DESCRIPTION("Where the processor keeps the fields of a VMCS, for readers of dumps");
MODULE_LICENSE("GPL");

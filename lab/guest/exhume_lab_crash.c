// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Ways for a kernel to die. A word written to /proc/exhume-lab chooses one:
 *
 *     echo null > /proc/exhume-lab
 *
 * Builds out of tree for 6.1 and 7.2. Functions that must be seen on a stack are noinline, and their
 * last call is not their end: the compiler would make a jump of it.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

struct lab_object {
	unsigned long words[8];
	unsigned int number;
	struct list_head list;
	void (*call)(void);
};

/* Neither constant: the compiler must not see through what dies here. */
static struct lab_object *volatile lab_object;
static volatile int lab_zero;

static noinline void lab_touch(struct lab_object *object)
{
	pr_info("touching number at %px\n", &object->number);
	WRITE_ONCE(object->number, 42);
}

static noinline void lab_null(void)
{
	lab_touch(NULL);
	lab_zero++;
}

static noinline void lab_poison(void)
{
	lab_touch((struct lab_object *)0xdead000000000100UL);
	lab_zero++;
}

static noinline void lab_bug(void)
{
	BUG_ON(lab_zero == 0);
}

static noinline void lab_warn(void)
{
	WARN(lab_zero == 0, "something is wrong with the number %d\n", lab_zero);
	lab_zero++;
}

/* The instruction pointer is 0: there is no function to unwind from. */
static noinline void lab_jump(void)
{
	struct lab_object *object = kzalloc(sizeof(*object), GFP_KERNEL);

	lab_object = object;
	object->call();
	lab_zero++;
}

static noinline int lab_recurse(int depth)
{
	volatile char room[128];

	memset((void *)room, depth, sizeof(room));
	return lab_recurse(depth + 1 + lab_zero) + room[depth & 127];
}

static noinline void lab_divide(void)
{
	lab_zero = 100 / lab_zero;
}

static noinline void lab_list(void)
{
	struct lab_object *first = kzalloc(sizeof(*first), GFP_KERNEL);
	struct lab_object *second = kzalloc(sizeof(*second), GFP_KERNEL);
	LIST_HEAD(head);

	list_add(&first->list, &head);
	list_add(&second->list, &first->list);
	/* What an owner that was freed and used again leaves. */
	first->list.next = (struct list_head *)first;
	list_del(&second->list);
	lab_zero++;
}

/* In hard interrupt context. */
static noinline void lab_irq_work(struct irq_work *work)
{
	lab_null();
	lab_zero++;
}

static DEFINE_IRQ_WORK(lab_irq, lab_irq_work);

/* In a softirq. */
static noinline void lab_timer_expires(struct timer_list *timer)
{
	lab_null();
	lab_zero++;
}

static DEFINE_TIMER(lab_timer, lab_timer_expires);

static noinline void lab_work_item(struct work_struct *work)
{
	lab_null();
	lab_zero++;
}

static DECLARE_WORK(lab_work, lab_work_item);

static noinline void lab_spin(void)
{
	for (;;)
		cpu_relax();
}

static noinline void lab_softlockup(void)
{
	preempt_disable();
	lab_spin();
}

static noinline void lab_hardlockup(void)
{
	local_irq_disable();
	lab_spin();
}

static DEFINE_MUTEX(lab_mutex);

/* Takes the mutex and never gives it back. */
static int lab_holder(void *unused)
{
	mutex_lock(&lab_mutex);
	for (;;) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		schedule();
	}
	return 0;
}

static noinline void lab_hold(void)
{
	kthread_run(lab_holder, NULL, "exhume_holder");
	while (!mutex_is_locked(&lab_mutex))
		msleep(10);
}

static noinline void lab_wait(void)
{
	mutex_lock(&lab_mutex);
	mutex_unlock(&lab_mutex);
}

static void lab_die(const char *how)
{
	if (sysfs_streq(how, "null"))
		lab_null();
	else if (sysfs_streq(how, "poison"))
		lab_poison();
	else if (sysfs_streq(how, "bug"))
		lab_bug();
	else if (sysfs_streq(how, "warn"))
		lab_warn();
	else if (sysfs_streq(how, "jump"))
		lab_jump();
	else if (sysfs_streq(how, "divide"))
		lab_divide();
	else if (sysfs_streq(how, "list"))
		lab_list();
	else if (sysfs_streq(how, "overflow"))
		lab_zero = lab_recurse(0);
	else if (sysfs_streq(how, "irq"))
		irq_work_queue(&lab_irq);
	else if (sysfs_streq(how, "softirq"))
		mod_timer(&lab_timer, jiffies + 1);
	else if (sysfs_streq(how, "work"))
		schedule_work(&lab_work);
	else if (sysfs_streq(how, "softlockup"))
		lab_softlockup();
	else if (sysfs_streq(how, "hardlockup"))
		lab_hardlockup();
	else if (sysfs_streq(how, "hold"))
		lab_hold();
	else if (sysfs_streq(how, "wait"))
		lab_wait();
	else
		pr_err("no way to die is called %s\n", how);
}

static ssize_t lab_write(struct file *file, const char __user *buffer, size_t count, loff_t *position)
{
	char how[16] = "";

	if (count >= sizeof(how))
		return -EINVAL;
	if (copy_from_user(how, buffer, count))
		return -EFAULT;
	lab_die(how);
	return count;
}

static const struct proc_ops lab_operations = {
	.proc_write = lab_write,
};

static int __init lab_init(void)
{
	return proc_create("exhume-lab", 0200, NULL, &lab_operations) ? 0 : -ENOMEM;
}

static void __exit lab_exit(void)
{
	remove_proc_entry("exhume-lab", NULL);
}

module_init(lab_init);
module_exit(lab_exit);

MODULE_DESCRIPTION("Ways for a kernel to die, for exhume's lab");
MODULE_LICENSE("GPL");

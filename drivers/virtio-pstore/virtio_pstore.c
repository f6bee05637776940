// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio-pstore: what a guest says last is kept by its host.
 *
 * The device is a backend of pstore. Records are written when the kernel is
 * dying: in panic, with interrupts off, perhaps in an NMI, when other CPUs are
 * stopped and may hold any lock. On that way nothing is allocated, nothing
 * sleeps, locks are only tried, and every wait for the device has a bound.
 * Neither queue uses interrupts: the used ring is looked at.
 *
 * A record is copied and handed to the device, and several can be on their way
 * while pstore compresses the next one. pstore does not tell a backend which
 * record is the last one of a dump. Who waits for the device is a dumper of our
 * own, which the kernel calls after pstore's: a guest that reboots right after
 * its panic has lost nothing.
 */

#include <linux/delay.h>
#include <linux/kmsg_dump.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/nmi.h>
#include <linux/pstore.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>

#include "compat.h"
#include "virtio_pstore.h"

#define VPS_MIN_BUFSIZE		SZ_4K
#define VPS_MAX_BUFSIZE		SZ_1M
/* A READ takes the most descriptors of all requests. */
#define VPS_MIN_QUEUE_SIZE	4
#define VPS_MAX_OUTSTANDING	64U
/* How many records that pstore has no use for are passed over in one go. */
#define VPS_MAX_SKIPPED		1024
#define VPS_MIN_TIMEOUT_MS	1U
#define VPS_MAX_TIMEOUT_MS	60000U
#define VPS_POLL_US		10

static unsigned int timeout_ms = 2000;
module_param(timeout_ms, uint, 0644);
MODULE_PARM_DESC(timeout_ms, "longest wait for the device, in ms, 1 to 60000 (default 2000)");

static unsigned int outstanding = 8;
module_param(outstanding, uint, 0444);
MODULE_PARM_DESC(outstanding, "records that can be on their way at once, 1 to 64 (default 8)");

static int max_reason = KMSG_DUMP_OOPS;
module_param(max_reason, int, 0444);
MODULE_PARM_DESC(max_reason, "what is recorded: 1 panics, 2 also oopses (default), 3 also emergency restarts, 4 also shutdowns");

/* A request and its buffer. What the device writes shares no cache line. */
struct vps_slot {
	struct virtio_pstore_req req;
	/* Of the slot, and of vps->bufsize bytes. */
	char *data;
	/* The device has it, and may write to it. */
	bool busy;
	struct virtio_pstore_res res ____cacheline_aligned;
	struct virtio_pstore_fileinfo info;
} ____cacheline_aligned;

struct vps {
	struct virtio_device *vdev;
	struct pstore_info pstore;
	struct kmsg_dumper flusher;
	u32 bufsize;

	/* For the read queue: always in a context that can sleep. */
	struct mutex read_lock;
	/* NULL: there is no device to talk to now. */
	struct virtqueue *read_vq;
	struct vps_slot *reader;

	/* For the write queue. Held for short, never while waiting. */
	raw_spinlock_t write_lock;
	/* NULL: there is no device to talk to now. */
	struct virtqueue *write_vq;
	struct vps_slot *writers;
	unsigned int nr_writers;
	unsigned int nr_busy;
	/* Since the last report: records that the host did not take, and why. */
	unsigned int nr_refused;
	int refused_for;
	/* A wait was in vain, and the device has answered nothing since. */
	bool stalled;
};

static unsigned int vps_timeout_ms(void)
{
	return clamp(READ_ONCE(timeout_ms), VPS_MIN_TIMEOUT_MS, VPS_MAX_TIMEOUT_MS);
}

static int vps_result(const struct virtio_pstore_res *res, unsigned int used)
{
	int ret = (int)le32_to_cpu(res->ret);

	if (used < sizeof(*res))
		return -EPROTO;
	if (ret >= 0)
		return 0;
	return ret >= -MAX_ERRNO ? ret : -EIO;
}

/* Writing. */

/* Takes back what the device is done with. The lock is held. */
static void vps_reap(struct vps *vps)
{
	struct vps_slot *slot;
	unsigned int used;
	int ret;

	while ((slot = virtqueue_get_buf(vps->write_vq, &used))) {
		ret = vps_result(&slot->res, used);
		if (ret) {
			vps->nr_refused++;
			vps->refused_for = ret;
		}
		slot->busy = false;
		vps->nr_busy--;
		vps->stalled = false;
	}
}

static struct vps_slot *vps_free_writer(struct vps *vps)
{
	unsigned int i;

	for (i = 0; i < vps->nr_writers; i++)
		if (!vps->writers[i].busy)
			return &vps->writers[i];
	return NULL;
}

/* Hands a record to the device. The lock is held. -EAGAIN: no room for now. */
static int vps_submit(struct vps *vps, const struct pstore_record *record)
{
	struct scatterlist req, data, res;
	struct scatterlist *sgs[] = { &req, &data, &res };
	struct vps_slot *slot;
	int ret;

	if (!vps->write_vq || virtqueue_is_broken(vps->write_vq))
		return -ENODEV;
	vps_reap(vps);
	slot = vps_free_writer(vps);
	if (!slot)
		return -EAGAIN;

	memcpy(slot->data, record->buf, record->size);
	memset(&slot->req, 0, sizeof(slot->req));
	slot->req.cmd = cpu_to_le16(VIRTIO_PSTORE_CMD_WRITE);
	slot->req.type = cpu_to_le16(VIRTIO_PSTORE_TYPE_DMESG);
	slot->req.flags = cpu_to_le32(record->compressed ? VIRTIO_PSTORE_FL_COMPRESSED : 0);
	slot->req.count = cpu_to_le32(record->count);
	sg_init_one(&req, &slot->req, sizeof(slot->req));
	sg_init_one(&data, slot->data, record->size);
	sg_init_one(&res, &slot->res, sizeof(slot->res));

	ret = virtqueue_add_sgs(vps->write_vq, sgs, 2, 1, slot, GFP_ATOMIC);
	if (ret)
		return ret == -ENOSPC ? -EAGAIN : ret;
	slot->busy = true;
	vps->nr_busy++;
	virtqueue_kick(vps->write_vq);
	return 0;
}

/* -EAGAIN: somebody else has the lock, and may give it back. */
static int vps_try_submit(struct vps *vps, const struct pstore_record *record)
{
	unsigned long flags;
	int ret;

	/* An NMI may have come in the midst of the one that has the lock. */
	if (!raw_spin_trylock_irqsave(&vps->write_lock, flags))
		return in_nmi() ? -EBUSY : -EAGAIN;
	ret = vps_submit(vps, record);
	raw_spin_unlock_irqrestore(&vps->write_lock, flags);
	return ret;
}

static int vps_write(struct pstore_record *record)
{
	struct vps *vps = record->psi->data;
	unsigned int polls = vps_timeout_ms() * (USEC_PER_MSEC / VPS_POLL_US);
	int ret;

	/* The device does not tell the id that it gives. */
	record->id = 0;
	if (record->type != PSTORE_TYPE_DMESG || record->size <= 0 || record->size > vps->bufsize)
		return -EINVAL;
	while ((ret = vps_try_submit(vps, record)) == -EAGAIN) {
		if (READ_ONCE(vps->stalled) || !polls--) {
			WRITE_ONCE(vps->stalled, true);
			return -ETIMEDOUT;
		}
		touch_nmi_watchdog();
		udelay(VPS_POLL_US);
	}
	return ret;
}

/* How many records the device still has; -EAGAIN: somebody else has the lock. */
static int vps_pending(struct vps *vps, unsigned int *refused, int *why)
{
	unsigned long flags;
	int ret;

	if (!raw_spin_trylock_irqsave(&vps->write_lock, flags))
		return in_nmi() ? -EBUSY : -EAGAIN;
	if (vps->write_vq)
		vps_reap(vps);
	ret = vps->nr_busy;
	if (ret && (!vps->write_vq || virtqueue_is_broken(vps->write_vq)))
		ret = -ENODEV;
	*refused += vps->nr_refused;
	*why = vps->refused_for;
	vps->nr_refused = 0;
	raw_spin_unlock_irqrestore(&vps->write_lock, flags);
	return ret;
}

/* Waits until the host has all records. */
static void vps_flush(struct vps *vps)
{
	unsigned int ms = vps_timeout_ms();
	unsigned int polls = ms * (USEC_PER_MSEC / VPS_POLL_US);
	unsigned int refused = 0;
	int why = 0;
	int ret;

	while ((ret = vps_pending(vps, &refused, &why)) > 0 || ret == -EAGAIN) {
		/* Said once, and waited for once. */
		if (READ_ONCE(vps->stalled))
			break;
		if (!polls--) {
			WRITE_ONCE(vps->stalled, true);
			dev_err(&vps->vdev->dev,
				"the host has not confirmed all records in %u ms\n", ms);
			break;
		}
		touch_nmi_watchdog();
		udelay(VPS_POLL_US);
	}
	if (refused)
		dev_err(&vps->vdev->dev, "the host refused %u records: error %d\n", refused, why);
}

static void vps_flush_dump(struct kmsg_dumper *dumper, VPS_DUMP_WHY why)
{
	vps_flush(container_of(dumper, struct vps, flusher));
}

/* Reading and erasing. pstore never runs two of these at once. */

/* Waits for the device's answer: how much of it there is, or an error. */
static int vps_await(struct vps *vps, struct vps_slot *slot)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(vps_timeout_ms());
	unsigned int used;
	bool late;

	for (;;) {
		/* In this order: who slept past the deadline looks once more. */
		late = time_after(jiffies, deadline);
		if (virtqueue_get_buf(vps->read_vq, &used)) {
			slot->busy = false;
			return used;
		}
		if (virtqueue_is_broken(vps->read_vq))
			return -ENODEV;
		if (late)
			return -ETIMEDOUT;
		usleep_range(VPS_POLL_US, 10 * VPS_POLL_US);
	}
}

/* One request on the read queue: how much the device wrote, or an error. */
static int vps_request(struct vps *vps, u16 cmd, u16 type, u64 id, u32 count)
{
	struct scatterlist req, res, info, data;
	struct scatterlist *sgs[] = { &req, &res, &info, &data };
	struct vps_slot *slot = vps->reader;
	unsigned int in_sgs = cmd == VIRTIO_PSTORE_CMD_READ ? 3 : 1;
	int used, ret;

	if (!vps->read_vq || virtqueue_is_broken(vps->read_vq))
		return -ENODEV;
	/* After a wait in vain the buffers are the device's until it answers. */
	if (slot->busy) {
		used = vps_await(vps, slot);
		if (used < 0)
			return used;
	}

	memset(&slot->req, 0, sizeof(slot->req));
	slot->req.cmd = cpu_to_le16(cmd);
	slot->req.type = cpu_to_le16(type);
	slot->req.id = cpu_to_le64(id);
	slot->req.count = cpu_to_le32(count);
	sg_init_one(&req, &slot->req, sizeof(slot->req));
	sg_init_one(&res, &slot->res, sizeof(slot->res));
	sg_init_one(&info, &slot->info, sizeof(slot->info));
	sg_init_one(&data, slot->data, vps->bufsize);

	ret = virtqueue_add_sgs(vps->read_vq, sgs, 1, in_sgs, slot, GFP_KERNEL);
	if (ret)
		return ret;
	slot->busy = true;
	virtqueue_kick(vps->read_vq);

	used = vps_await(vps, slot);
	if (used < 0)
		return used;
	ret = vps_result(&slot->res, used);
	return ret ?: used;
}

static int vps_open(struct pstore_info *psi)
{
	struct vps *vps = psi->data;
	int ret;

	mutex_lock(&vps->read_lock);
	ret = vps_request(vps, VIRTIO_PSTORE_CMD_OPEN, VIRTIO_PSTORE_TYPE_UNKNOWN, 0, 0);
	mutex_unlock(&vps->read_lock);
	return min(ret, 0);
}

static int vps_close(struct pstore_info *psi)
{
	struct vps *vps = psi->data;
	int ret;

	mutex_lock(&vps->read_lock);
	ret = vps_request(vps, VIRTIO_PSTORE_CMD_CLOSE, VIRTIO_PSTORE_TYPE_UNKNOWN, 0, 0);
	mutex_unlock(&vps->read_lock);
	return min(ret, 0);
}

/* The record that a READ brought; -ENOMSG: one that pstore has no use for. */
static ssize_t vps_take(struct vps *vps, struct pstore_record *record, unsigned int used)
{
	const struct virtio_pstore_fileinfo *info = &vps->reader->info;
	const size_t head = sizeof(vps->reader->res) + sizeof(*info);
	u32 len;

	/* That was the last one. */
	if (used < head)
		return 0;

	len = le32_to_cpu(info->len);
	if (len > vps->bufsize || len > used - head)
		return -EPROTO;
	switch (le16_to_cpu(info->type)) {
	case VIRTIO_PSTORE_TYPE_DMESG:
		record->type = PSTORE_TYPE_DMESG;
		break;
	case VIRTIO_PSTORE_TYPE_CONSOLE:
		record->type = PSTORE_TYPE_CONSOLE;
		break;
	default:
		return -ENOMSG;
	}
	if (!len)
		return -ENOMSG;

	record->buf = kmemdup(vps->reader->data, len, GFP_KERNEL);
	if (!record->buf)
		return -ENOMEM;
	record->id = le64_to_cpu(info->id);
	record->count = le32_to_cpu(info->count);
	record->compressed = le32_to_cpu(info->flags) & VIRTIO_PSTORE_FL_COMPRESSED;
	record->time.tv_sec = le64_to_cpu(info->time_sec);
	record->time.tv_nsec = min_t(u32, le32_to_cpu(info->time_nsec), NSEC_PER_SEC - 1);
	return len;
}

static ssize_t vps_read(struct pstore_record *record)
{
	struct vps *vps = record->psi->data;
	unsigned int skipped;
	ssize_t ret = -ENOMSG;

	mutex_lock(&vps->read_lock);
	for (skipped = 0; ret == -ENOMSG && skipped < VPS_MAX_SKIPPED; skipped++) {
		ret = vps_request(vps, VIRTIO_PSTORE_CMD_READ, VIRTIO_PSTORE_TYPE_UNKNOWN, 0, 0);
		if (ret < 0)
			break;
		ret = vps_take(vps, record, ret);
	}
	mutex_unlock(&vps->read_lock);
	return ret;
}

static int vps_erase(struct pstore_record *record)
{
	struct vps *vps = record->psi->data;
	u16 type = record->type == PSTORE_TYPE_CONSOLE ? VIRTIO_PSTORE_TYPE_CONSOLE :
							 VIRTIO_PSTORE_TYPE_DMESG;
	int ret;

	mutex_lock(&vps->read_lock);
	ret = vps_request(vps, VIRTIO_PSTORE_CMD_ERASE, type, record->id, record->count);
	mutex_unlock(&vps->read_lock);
	if (ret < 0)
		dev_err(&vps->vdev->dev, "record %llu is not erased: error %d\n", record->id, ret);
	return min(ret, 0);
}

/* The device's life. */

/* Finds the queues and lets the device run. */
static int vps_start(struct vps *vps)
{
	struct virtqueue *vqs[VIRTIO_PSTORE_QUEUES];
	unsigned long flags;
	int i, ret;

	ret = vps_find_vqs(vps->vdev, vqs, "pstore_read", "pstore_write");
	if (ret)
		return ret;
	for (i = 0; i < VIRTIO_PSTORE_QUEUES; i++) {
		if (virtqueue_get_vring_size(vqs[i]) < VPS_MIN_QUEUE_SIZE) {
			vps->vdev->config->del_vqs(vps->vdev);
			return -EINVAL;
		}
	}
	virtio_device_ready(vps->vdev);

	mutex_lock(&vps->read_lock);
	vps->read_vq = vqs[VIRTIO_PSTORE_QUEUE_READ];
	mutex_unlock(&vps->read_lock);
	raw_spin_lock_irqsave(&vps->write_lock, flags);
	vps->write_vq = vqs[VIRTIO_PSTORE_QUEUE_WRITE];
	raw_spin_unlock_irqrestore(&vps->write_lock, flags);
	return 0;
}

/* Takes the device and all buffers back. */
static void vps_stop(struct vps *vps)
{
	unsigned long flags;
	unsigned int i;

	vps_flush(vps);
	mutex_lock(&vps->read_lock);
	vps->read_vq = NULL;
	mutex_unlock(&vps->read_lock);
	raw_spin_lock_irqsave(&vps->write_lock, flags);
	vps->write_vq = NULL;
	raw_spin_unlock_irqrestore(&vps->write_lock, flags);

	virtio_reset_device(vps->vdev);
	vps->vdev->config->del_vqs(vps->vdev);

	/* Nobody looks at these while there is no queue. */
	vps->reader->busy = false;
	for (i = 0; i < vps->nr_writers; i++)
		vps->writers[i].busy = false;
	vps->nr_busy = 0;
	vps->stalled = false;
}

static void vps_free(struct vps *vps)
{
	unsigned int i;

	if (vps->reader && vps->reader->data)
		free_pages_exact(vps->reader->data, vps->bufsize);
	kfree(vps->reader);
	for (i = 0; i < vps->nr_writers; i++)
		free_pages_exact(vps->writers[i].data, vps->bufsize);
	kfree(vps->writers);
	kvfree(vps->pstore.buf);
	kfree(vps);
}

static int vps_alloc_buffers(struct vps *vps)
{
	unsigned int wanted = clamp(outstanding, 1U, VPS_MAX_OUTSTANDING);
	char *data;

	vps->pstore.buf = kvmalloc(vps->bufsize, GFP_KERNEL);
	vps->reader = kzalloc_obj(*vps->reader);
	vps->writers = kzalloc_objs(*vps->writers, wanted);
	if (!vps->pstore.buf || !vps->reader || !vps->writers)
		return -ENOMEM;
	vps->reader->data = alloc_pages_exact(vps->bufsize, GFP_KERNEL);
	if (!vps->reader->data)
		return -ENOMEM;
	for (; vps->nr_writers < wanted; vps->nr_writers++) {
		data = alloc_pages_exact(vps->bufsize, GFP_KERNEL | __GFP_NOWARN);
		if (!data)
			break;
		vps->writers[vps->nr_writers].data = data;
	}
	/* One will do, more are for speed. */
	return vps->nr_writers ? 0 : -ENOMEM;
}

static int vps_validate(struct virtio_device *vdev)
{
	if (!virtio_has_feature(vdev, VIRTIO_F_VERSION_1))
		return -ENODEV;
	/* With indirect descriptors every request would allocate its own. */
	__virtio_clear_bit(vdev, VIRTIO_RING_F_INDIRECT_DESC);
	return 0;
}

static int vps_probe(struct virtio_device *vdev)
{
	struct vps *vps;
	int ret;

	vps = kzalloc_obj(*vps);
	if (!vps)
		return -ENOMEM;
	vps->vdev = vdev;
	vdev->priv = vps;
	mutex_init(&vps->read_lock);
	raw_spin_lock_init(&vps->write_lock);

	virtio_cread_le(vdev, struct virtio_pstore_config, bufsize, &vps->bufsize);
	if (vps->bufsize < VPS_MIN_BUFSIZE || vps->bufsize > VPS_MAX_BUFSIZE) {
		dev_err(&vdev->dev, "records of %u bytes: not between %u and %u\n",
			vps->bufsize, VPS_MIN_BUFSIZE, VPS_MAX_BUFSIZE);
		ret = -EINVAL;
		goto err_free;
	}
	ret = vps_alloc_buffers(vps);
	if (ret)
		goto err_free;
	ret = vps_start(vps);
	if (ret)
		goto err_free;

	vps->pstore.owner = THIS_MODULE;
	vps->pstore.name = "virtio";
	vps->pstore.bufsize = vps->bufsize;
	vps->pstore.flags = PSTORE_FLAGS_DMESG;
	vps->pstore.max_reason = max_reason;
	vps->pstore.data = vps;
	vps->pstore.open = vps_open;
	vps->pstore.close = vps_close;
	vps->pstore.read = vps_read;
	vps->pstore.write = vps_write;
	vps->pstore.erase = vps_erase;
	ret = pstore_register(&vps->pstore);
	if (ret)
		goto err_stop;

	/* After pstore's: dumpers are called in the order of their coming. */
	vps->flusher.dump = vps_flush_dump;
	vps->flusher.max_reason = KMSG_DUMP_MAX;
	ret = kmsg_dump_register(&vps->flusher);
	if (ret)
		goto err_unregister;

	dev_info(&vdev->dev, "records of up to %u bytes, %u outstanding\n",
		 vps->bufsize, vps->nr_writers);
	return 0;

err_unregister:
	pstore_unregister(&vps->pstore);
err_stop:
	vps_stop(vps);
err_free:
	vps_free(vps);
	return ret;
}

static void vps_remove(struct virtio_device *vdev)
{
	struct vps *vps = vdev->priv;

	pstore_unregister(&vps->pstore);
	kmsg_dump_unregister(&vps->flusher);
	vps_stop(vps);
	vps_free(vps);
}

#ifdef VPS_HAVE_SHUTDOWN
/*
 * The virtio core would reset the device. It writes only to what was asked of
 * it, so it may stay, for what the kernel says after its devices are shut down.
 */
static void vps_shutdown(struct virtio_device *vdev)
{
	vps_flush(vdev->priv);
}
#endif

#ifdef CONFIG_PM_SLEEP
static int vps_freeze(struct virtio_device *vdev)
{
	vps_stop(vdev->priv);
	return 0;
}

static int vps_restore(struct virtio_device *vdev)
{
	return vps_start(vdev->priv);
}
#endif

static const struct virtio_device_id vps_ids[] = {
	{ VIRTIO_ID_PSTORE, VIRTIO_DEV_ANY_ID },
	{ 0 },
};
MODULE_DEVICE_TABLE(virtio, vps_ids);

static struct virtio_driver vps_driver = {
	.driver.name = KBUILD_MODNAME,
	.driver.owner = THIS_MODULE,
	.id_table = vps_ids,
	.validate = vps_validate,
	.probe = vps_probe,
	.remove = vps_remove,
#ifdef VPS_HAVE_SHUTDOWN
	.shutdown = vps_shutdown,
#endif
#ifdef CONFIG_PM_SLEEP
	.freeze = vps_freeze,
	.restore = vps_restore,
#endif
};
module_virtio_driver(vps_driver);

MODULE_DESCRIPTION("virtio-pstore: keeps a guest's last words on its host");
MODULE_LICENSE("GPL");

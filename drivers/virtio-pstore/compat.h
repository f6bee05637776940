/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What differs between the kernels from 6.1 on. Kbuild looks into the
 * kernel's headers and defines VPS_HAVE_*.
 */
#ifndef VIRTIO_PSTORE_COMPAT_H
#define VIRTIO_PSTORE_COMPAT_H

#include <linux/kmsg_dump.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>

#ifndef kzalloc_obj
#define kzalloc_obj(obj) kzalloc(sizeof(obj), GFP_KERNEL)
#define kzalloc_objs(obj, count) kcalloc(count, sizeof(obj), GFP_KERNEL)
#endif

/* Finds two queues that call nobody back. */
static inline int vps_find_vqs(struct virtio_device *vdev,
			       struct virtqueue *vqs[2],
			       const char *first, const char *second)
{
#ifdef VPS_HAVE_VIRTQUEUE_INFO
	struct virtqueue_info infos[] = { { .name = first }, { .name = second } };

	return virtio_find_vqs(vdev, 2, vqs, infos, NULL);
#else
	vq_callback_t *callbacks[] = { NULL, NULL };
	const char * const names[] = { first, second };

	return virtio_find_vqs(vdev, 2, vqs, callbacks, names, NULL);
#endif
}

/* The second argument of struct kmsg_dumper's dump(). */
#ifdef VPS_HAVE_KMSG_DUMP_DETAIL
#define VPS_DUMP_WHY struct kmsg_dump_detail *
#else
#define VPS_DUMP_WHY enum kmsg_dump_reason
#endif

#endif /* VIRTIO_PSTORE_COMPAT_H */

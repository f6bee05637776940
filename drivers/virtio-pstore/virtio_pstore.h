/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What passes between a virtio-pstore device and its driver, as versions 2 to
 * 5 of the patches of 2016 define it, little-endian.
 *
 * Queue 0 takes OPEN, READ, ERASE and CLOSE, queue 1 takes WRITE:
 *
 *	OPEN, CLOSE, ERASE	request | result
 *	READ			request | result, fileinfo, data
 *	WRITE			request, data | result
 */
#ifndef VIRTIO_PSTORE_H
#define VIRTIO_PSTORE_H

#include <linux/build_bug.h>
#include <linux/types.h>

#define VIRTIO_PSTORE_QUEUE_READ	0
#define VIRTIO_PSTORE_QUEUE_WRITE	1
#define VIRTIO_PSTORE_QUEUES		2

#define VIRTIO_PSTORE_CMD_OPEN		1
#define VIRTIO_PSTORE_CMD_READ		2
#define VIRTIO_PSTORE_CMD_WRITE		3
#define VIRTIO_PSTORE_CMD_ERASE		4
#define VIRTIO_PSTORE_CMD_CLOSE		5

#define VIRTIO_PSTORE_TYPE_UNKNOWN	0
#define VIRTIO_PSTORE_TYPE_DMESG	1
/* Version 2 only. */
#define VIRTIO_PSTORE_TYPE_CONSOLE	2

#define VIRTIO_PSTORE_FL_COMPRESSED	1

struct virtio_pstore_config {
	/* The most bytes that a record can have. */
	__le32 bufsize;
};

struct virtio_pstore_req {
	__le16 cmd;
	__le16 type;
	__le32 flags;
	__le64 id;
	__le32 count;
	__le32 reserved;
};

static_assert(sizeof(struct virtio_pstore_req) == 24);

struct virtio_pstore_res {
	__le16 cmd;
	__le16 type;
	/* Zero, or a negative error number. */
	__le32 ret;
};

static_assert(sizeof(struct virtio_pstore_res) == 8);

struct virtio_pstore_fileinfo {
	__le64 id;
	__le32 count;
	__le16 type;
	__le16 unused;
	__le32 flags;
	__le32 len;
	__le64 time_sec;
	__le32 time_nsec;
	__le32 reserved;
};

static_assert(sizeof(struct virtio_pstore_fileinfo) == 40);

#endif /* VIRTIO_PSTORE_H */

/** What of a program's memory the kernel puts into the record of a system call, beside the argument that points at it. */
export interface UserArguments {
  /** Numbers of the arguments. */
  readonly arguments: readonly number[];
  /** It is a buffer of some length, and no string. */
  readonly bytes: boolean;
}

/** By name, without `sys_`: check_faultable_syscall() of kernel/trace/trace_syscalls.c, the kernel's own table, in 7.2 and not yet in 6.18. */
export const USER_ARGUMENTS: ReadonlyMap<string, UserArguments> = new Map([
  ...row([1], true, 'mq_timedsend pwrite64 write'),
  ...row([0], false, 'setdomainname sethostname'),
  ...row([4], false, 'kexec_file_load'),
  ...row(
    [0],
    false,
    'access acct chdir chmod chown chroot creat delete_module execve fsopen lchown memfd_create mkdir mknod mq_open mq_unlink open readlink rmdir shmdt statfs swapoff swapon truncate umount unlink utime utimes',
  ),
  ...row(
    [1],
    false,
    'execveat faccessat faccessat2 fchmodat fchmodat2 fchownat fgetxattr finit_module flistxattr fremovexattr fsetxattr fspick futimesat inotify_add_watch mkdirat mknodat mount_setattr name_to_handle_at newfstatat open_tree open_tree_attr openat openat2 quotactl readlinkat statx syslog unlinkat utimensat',
  ),
  ...row([2], false, 'fsconfig init_module'),
  ...row([4], false, 'fanotify_mark'),
  ...row(
    [0, 1],
    false,
    'add_key getxattr lgetxattr link listxattr llistxattr lremovexattr lsetxattr pivot_root removexattr rename request_key setxattr symlink',
  ),
  ...row([0, 2], false, 'symlinkat'),
  ...row([1, 3], false, 'getxattrat linkat listxattrat move_mount removexattrat renameat renameat2 setxattrat'),
  ...row([0, 1, 2], false, 'mount'),
]);

function row(places: readonly number[], bytes: boolean, names: string): [string, UserArguments][] {
  return names.split(' ').map((name) => [name, { arguments: places, bytes }]);
}

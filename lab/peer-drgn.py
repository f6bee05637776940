"""What drgn says about a dump, as JSON on standard output. Addresses are hexadecimal strings.

With the argument "brief" stacks and files are left out: of 20,000 tasks they take minutes. A section that drgn cannot answer is {"error": its words}.
"""

import json
import sys

from drgn import FaultError
from drgn.helpers.linux.cpumask import for_each_present_cpu
from drgn.helpers.linux.fs import (
    d_path,
    for_each_file,
    for_each_mount,
    mount_dst,
    mount_fstype,
    mount_src,
)
from drgn.helpers.linux.mm import for_each_vma, totalram_pages
from drgn.helpers.linux.module import for_each_module, module_address_regions
from drgn.helpers.linux.panic import panic_message, panic_task, tainted
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import cpu_curr, task_cpu, task_on_cpu, task_state_to_char
from drgn.helpers.linux.slab import for_each_slab_cache, slab_cache_objects_per_slab


BRIEF = "brief" in sys.argv[1:]


def text(value):
    return value.decode(errors="backslashreplace")


def attempt(question):
    try:
        return question()
    except Exception as error:  # drgn has many, and each is an answer
        return {"error": f"{type(error).__name__}: {error}"}


def stack(task):
    try:
        trace = prog.stack_trace(task)
    except (ValueError, LookupError, FaultError) as error:
        return {"error": str(error)}
    frames = []
    for frame in trace:
        symbol = None
        try:
            symbol = frame.symbol().name
        except LookupError:
            pass
        frames.append(
            {
                # The function as debug information has it; inlined ones have no symbol of their own.
                "name": frame.name,
                "symbol": symbol,
                "inline": frame.is_inline,
                "interrupted": frame.interrupted,
                "pc": attempt(lambda: hex(frame.pc)),
                "sp": attempt(lambda: hex(frame.sp)),
            }
        )
    return frames


def tasks():
    found = []
    for task in for_each_task(prog):
        found.append(
            {
                "address": hex(task),
                "pid": task.pid.value_(),
                "tgid": task.tgid.value_(),
                "ppid": task.real_parent.tgid.value_(),
                "comm": text(task.comm.string_()),
                "state": task_state_to_char(task),
                "cpu": task_cpu(task),
                "onCpu": bool(task_on_cpu(task)),
                "lastArrival": attempt(lambda: task.sched_info.last_arrival.value_()),
                "stack": {"error": "brief"} if BRIEF else stack(task),
            }
        )
    return found


def running():
    found = []
    for cpu in for_each_present_cpu(prog):
        task = cpu_curr(prog, cpu)
        found.append(
            {
                "cpu": cpu,
                "pid": task.pid.value_(),
                "comm": text(task.comm.string_()),
                "stack": attempt(lambda: stack(cpu) if task.pid.value_() == 0 else stack(task)),
            }
        )
    return found


def modules():
    return [
        {
            "name": text(module.name.string_()),
            "address": hex(module),
            "regions": [[hex(start), size] for start, size in module_address_regions(module)],
        }
        for module in for_each_module(prog)
    ]


def mounts():
    return [
        {
            "address": hex(mount),
            "source": text(mount_src(mount)),
            "target": text(mount_dst(mount)),
            "type": text(mount_fstype(mount)),
        }
        for mount in for_each_mount(prog["init_task"].nsproxy.mnt_ns)
    ]


def files():
    found = []
    for task in for_each_task(prog):
        if task.tgid.value_() != task.pid.value_() or not task.files:
            continue
        for number, file in for_each_file(task):
            found.append(
                {
                    "pid": task.pid.value_(),
                    "fd": number,
                    "address": hex(file),
                    "path": attempt(lambda: text(d_path(file.f_path))),
                }
            )
    return found


def areas():
    found = {}
    for task in for_each_task(prog):
        if task.tgid.value_() == task.pid.value_() and task.mm:
            found[task.pid.value_()] = [
                [hex(vma.vm_start), hex(vma.vm_end), hex(vma.vm_flags)]
                for vma in for_each_vma(task.mm)
            ]
    return found


def slabs():
    return [
        {
            "name": text(cache.name.string_()),
            "address": hex(cache),
            "objectSize": cache.object_size.value_(),
            "size": cache.size.value_(),
            "objectsPerSlab": slab_cache_objects_per_slab(cache),
        }
        for cache in for_each_slab_cache(prog)
    ]


def panicked():
    task = panic_task(prog)
    return {
        "message": text(panic_message(prog)),
        "pid": task.pid.value_(),
        "comm": text(task.comm.string_()),
        "taints": tainted(prog),
    }


json.dump(
    {
        "tasks": attempt(tasks),
        "running": attempt(running),
        "panic": attempt(panicked),
        "modules": attempt(modules),
        "mounts": attempt(mounts),
        "files": [] if BRIEF else attempt(files),
        "areas": {} if BRIEF else attempt(areas),
        "slabs": attempt(slabs),
        "totalRamPages": attempt(lambda: int(totalram_pages(prog))),
    },
    sys.stdout,
    indent=1,
)
print()

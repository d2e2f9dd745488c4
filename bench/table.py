"""The results as text: a head that says what was measured on what, then each section's blocks."""

import after
import columns
import instructions
import recording
import scale
import syscalls
import thp
import times
import trivial

SECTIONS = {"trivial": trivial, "instructions": instructions, "times": times, "after": after, "syscalls": syscalls,
            "scale": scale, "recording": recording, "thp": thp}


def head(results):
    machine = results["machine"]
    lines = [f"Tidemark {results['revision']}, {results['started']}: {results['command']}",
             f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / (1 << 30):.1f} GiB, "
             f"{machine['system']}, Linux {machine['kernel']}, transparent huge pages {machine['huge_pages']}; load at the start "
             f"{machine['load_at_start']:.1f}"]
    if results["tidemark_variable"]:
        lines.append(f"TIDEMARK={results['tidemark_variable']}")
    lines += [f"  {one['name']:9} {one['version']}" + (f" ({one['path']})" if one["kind"] != "peer" else "")
              for one in results["allocators"]]
    return lines + [f"  {line}" for line in results["left_out"]]


def text(results, full):
    """`full`: with the medians and spreads under every allocator."""
    parts = ["\n".join(head(results))]
    for name, section in SECTIONS.items():
        if results.get(name):
            parts += [f"== {section.TITLE} ({name})"] + [columns.text_of(block) for block in section.blocks(results, full)]
    return "\n\n".join(parts) + "\n"

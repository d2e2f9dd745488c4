/* status.h: what a running library tells the command. libtidemark.so exports one object of this
 * type under the name TM_STATUS_SYMBOL; the command finds it through the library's ELF symbol table
 * and /proc/PID/maps and reads it with process_vm_readv (where the kernel permits; else it goes by
 * /proc/PID/maps, environ and the files that appear).
 */
#ifndef TIDEMARK_FORMAT_STATUS_H
#define TIDEMARK_FORMAT_STATUS_H

#include <stdint.h>

#define TM_STATUS_SYMBOL "tidemark_status"
#define TM_STATUS_MAGIC  "TIDESTAT"

/* The library is mapped, but its constructor has not run yet. */
enum { TM_STATUS_NOT_STARTED = -1 };

/* What a request asks for: the value of sigqueue(), or TM_REQUEST_SNAPSHOT for a plain kill().
 * Other values are the program's own business and count as a snapshot request only when they are 0.
 */
enum tm_request {
    TM_REQUEST_SNAPSHOT = 0,
    TM_REQUEST_TRIM = 0x7d1d0002,
    TM_REQUEST_SITES_OFF = 0x7d1d0010,
    TM_REQUEST_SITES_SAMPLE = 0x7d1d0011,
    TM_REQUEST_SITES_ALL = 0x7d1d0012,
};

/* Counters only grow; last_* are set before the counter that tells of them. Always true once no
 * snapshot is under way: requested == merged + written + failed. fork starts them again from 0 in
 * the child. */
struct tm_status {
    char magic[8];    /* TM_STATUS_MAGIC */
    uint32_t version; /* 1 */
    uint32_t bytes;   /* of this struct */
    int32_t signal;   /* that asks for a snapshot; 0: none; or TM_STATUS_NOT_STARTED */
    int32_t handler;  /* 1: Tidemark's handler is installed; 0: the program took the signal, or had
                         it first */
    uint32_t requested; /* snapshot requests received */
    uint32_t merged;    /* of them merged with a pending one */
    uint32_t written;   /* snapshots written whole */
    uint32_t failed;    /* snapshots given up */
    uint32_t trims;     /* trim requests done */
    int32_t last_error; /* errno of the last failure; 0: none yet */
    char
        last_step[32]; /* what failed last: "open", "write", "rename", "clone", …; NUL-terminated */
    char last_path[1024]; /* of the last snapshot written, or that could not be; absolute;
                             NUL-terminated */
    int32_t sites;        /* enum tm_snapshot_sites: whether call sites are recorded */
    uint32_t switches;    /* requests to change that that were done, or could not be */
    uint64_t rate_bytes;  /* mean bytes between samples */
    int32_t unwinder; /* 0: not needed yet; 1: ready; 2: being loaded; negative errno: it cannot be
                         had, and sites are recorded without stacks */
    int32_t reserved; /* 0 */
    uint64_t live_at; /* address of the live page (live.h); 0: there is none */
};

#endif

/* build_id.h: the build id of a mapped ELF file, read from the memory it is mapped to. */
#ifndef TIDEMARK_RECORD_BUILD_ID_H
#define TIDEMARK_RECORD_BUILD_ID_H

#include <stddef.h>
#include <stdint.h>

enum { TM_BUILD_ID_HEX = 2 * 64 + 1 };

/* memory: a descriptor of /proc/self/mem, through which an address that cannot be read is an error
 * and not a fault. start, end: the file's first mapping. Writes the id in hex to id and returns
 * true, or returns false: no ELF file, or none there. */
_Bool tm_build_id(int memory, uint64_t start, uint64_t end, char id[TM_BUILD_ID_HEX]);

#endif

/* snapshot_reader.h: one input through reader, analysis and both reports; the fuzzer and the
 * mutation test share it.
 */
#ifndef TIDEMARK_TESTS_FUZZ_SNAPSHOT_READER_H
#define TIDEMARK_TESTS_FUZZ_SNAPSHOT_READER_H

#include <stdbool.h>
#include <stddef.h>

/* Reads the bytes as a snapshot, whatever its checksum, and reports on it into the void. True if it
 * was one. Aborts where a promise is broken: a ledger that does not sum to RSS, a byte counted
 * twice. */
bool snapshot_reader_try(const void *data, size_t size);

#endif

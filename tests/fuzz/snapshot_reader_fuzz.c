/* snapshot_reader_fuzz.c: the reader under libFuzzer, with the checksum out of the way so that it
 * does not hide what lies behind it. Built by clang only. Start it on a folder with snapshots as
 * seeds: snapshot_reader_fuzz -max_total_time=60 -max_len=16384 SEEDS
 */
#include "tests/fuzz/snapshot_reader.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    snapshot_reader_try(data, size);
    return 0;
}

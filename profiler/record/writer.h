/* writer.h: the file's frame: header, sections, padding, checksum, through one static buffer and
 * plain write(2). One file at a time; after the first error everything else is skipped, so the
 * caller asks once, at the end.
 */
#ifndef TIDEMARK_RECORD_WRITER_H
#define TIDEMARK_RECORD_WRITER_H

#include <stddef.h>
#include <stdint.h>

/* Starts a file on descriptor fd (which stays the caller's) with its header. flags: enum
 * tm_snapshot_flag. */
void tm_writer_start(int fd, uint32_t flags);
/* One whole section. record_bytes: 1 for text. */
void tm_writer_section(uint32_t tag, size_t record_bytes, const void *payload, size_t bytes);
/* An error of the caller's own, who could not gather all of a section; 0: none. The file fails. */
void tm_writer_fail(int error);
/* END and what is still in the buffer. 0, or the first errno. */
int tm_writer_finish(void);

#endif

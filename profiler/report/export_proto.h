/* export_proto.h: protocol buffers on the wire, compressed with gzip: what a profile of pprof is.
 * Own code and not protobuf-c, because writing needs only two of the encoding's types (varints, and
 * bytes with their length), while a library would bring a code generator and another project's
 * .proto file into the build. The encoding is described at protobuf.dev, "Encoding".
 */
#ifndef TIDEMARK_REPORT_EXPORT_PROTO_H
#define TIDEMARK_REPORT_EXPORT_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A message in memory. Zero is an empty one. */
struct tm_proto {
    unsigned char *bytes;
    size_t length, room;
    bool failed; /* memory ran out */
};

/* A value of the type intN, uintN or bool. Zero is written, too: lists have zeros. */
void tm_proto_number(struct tm_proto *proto, uint32_t field, uint64_t value);
void tm_proto_text(struct tm_proto *proto, uint32_t field, const char *text);
/* A message inside of another; inner is empty afterwards and can be used again. */
void tm_proto_message(struct tm_proto *proto, uint32_t field, struct tm_proto *inner);
/* A list of numbers in packed form. */
void tm_proto_numbers(struct tm_proto *proto, uint32_t field, const uint64_t *values, size_t count);
void tm_proto_free(struct tm_proto *proto);

struct tm_gzip;

/* NULL: no memory. */
struct tm_gzip *tm_gzip_open(FILE *out);
/* Writes the message and empties it. False when memory runs out. */
bool tm_gzip_write(struct tm_gzip *gzip, struct tm_proto *proto);
/* Ends the file and frees gzip. */
bool tm_gzip_close(struct tm_gzip *gzip);

#endif

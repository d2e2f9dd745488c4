/* export.h: a report as files of other tools, so that people can look at it with what they have.
 * Here is what all formats share: which stacks are written, and names that no reader can trip over.
 * A file's size is bounded: the largest stacks are written, by whichever of the figures they are
 * large, and all others summed up as one, so that totals stay what they are.
 */
#ifndef TIDEMARK_REPORT_EXPORT_H
#define TIDEMARK_REPORT_EXPORT_H

#include "profiler/report/stack_values.h"

#include <stdio.h>

enum {
    TM_EXPORT_NAME = 512,          /* bytes of a name, the rest is cut */
    TM_EXPORT_STACKS = 20000,      /* stacks that are written */
    TM_EXPORT_FRAMES = 1000 * 1000 /* frames of them all, inlined functions among them */
};

/* One stack of an export: its figures, and its frames, the outermost first. */
struct tm_export_stack {
    struct tm_stack_values values;
    uint32_t group;
    const struct tm_stack_frame *frames; /* until the next stack is asked for; at least one */
    size_t count;
};

struct tm_export {
    FILE *out;
    const struct tm_report *report; /* made by TM_GROUP_STACK */
    enum tm_order value;            /* for the formats that have room for one figure */
    uint32_t *groups;               /* that are written one by one */
    size_t group_count;
    size_t stack_count;           /* the same, and one for all others if there are any */
    size_t left_out;              /* how many these are */
    struct tm_stack_values other; /* and their sums */
    struct tm_stack_frame *frames;
    size_t frame_room;
};

/* Chooses the stacks. Fields but out, report and value are made here. False when memory runs out;
 * then nothing is left to free. */
bool tm_export_open(struct tm_export *export);
void tm_export_close(struct tm_export *export);

/* The stack at an index below stack_count. */
struct tm_export_stack tm_export_stack(struct tm_export *export, size_t index);

/* A text that is UTF-8 and plain (report_format.h), cut to TM_EXPORT_NAME bytes; characters of
 * `separators` (ASCII) become `instead`. */
struct tm_export_text {
    char text[TM_EXPORT_NAME + 1];
};
struct tm_export_text tm_export_clean(const char *text, const char *separators, char instead);

/* The same for what a frame is called. */
struct tm_export_text tm_export_name(const struct tm_stack_frame *frame, const char *separators,
                                     char instead);

/* "0x401136: main (prog.c:12)" or "... (in libfoo.so)": the address tells apart what has the same
 * name. nowhere: what stands for a place that is not known; NULL: nothing. */
struct tm_export_label {
    char text[2 * TM_EXPORT_NAME + 64];
};
struct tm_export_label tm_export_label(const struct tm_stack_frame *frame, const char *separators,
                                       char instead, const char *nowhere);

/* The command line of the process, its arguments separated by spaces. */
struct tm_export_text tm_export_command(const struct tm_snapshot_file *snapshot);

/* Blocks as a whole number: 1 at least where there are bytes. */
uint64_t tm_export_blocks(double blocks, uint64_t bytes);

/* The formats: each writes all of its file to export->out, false when memory runs out. Whether the
 * file could be written is for the caller to ask of the stream. */
bool tm_export_pprof(struct tm_export *export);
bool tm_export_gperftools(struct tm_export *export);
bool tm_export_folded(struct tm_export *export);
bool tm_export_speedscope(struct tm_export *export);
bool tm_export_dhat(struct tm_export *export);
bool tm_export_massif(struct tm_export *export);
bool tm_export_heaptrack(struct tm_export *export);
bool tm_export_openmetrics(struct tm_export *export);

#endif

/* symbols_files.h: where the files of the process that was recorded are: below the root directory
 * that it has while it lives (it may be in a container) and below /, or where the user says. Only
 * regular files are opened: their names come from a snapshot, which may be hostile, and a pipe
 * would block the command. Links are followed as the process would, within its root.
 */
#ifndef TIDEMARK_REPORT_SYMBOLS_FILES_H
#define TIDEMARK_REPORT_SYMBOLS_FILES_H

#include "profiler/report/snapshot_read.h"

enum {
    TM_FILES_ROOTS = 2,
    TM_BUILD_ID_TEXT = 2 * 64 + 1, /* a build id in hexadecimal; longer ones count as none */
};

struct tm_files {
    int roots[TM_FILES_ROOTS]; /* directories, in the order to look in */
    size_t root_count;
    const char *given; /* the root that the user named; NULL: none */
    int process;       /* the process as this command sees it; 0: it does not run, or is another */
};

/* root: NULL: find the process. A root that cannot be opened leaves root_count 0 (errno). */
void tm_files_open(struct tm_files *files, const struct tm_snapshot_file *snapshot,
                   const char *root);
/* Only the files below this command's own /. */
void tm_files_open_here(struct tm_files *files);
void tm_files_close(struct tm_files *files);

/* Opens a regular file below a root, of which path is told from its /. -1: errno says why not,
 * tm_files_why() tells it. */
int tm_files_open_below(int root, const char *path);
/* The same for the file of a mapping of the process, also if it was deleted since; needs
 * privileges. */
int tm_files_open_mapped(const struct tm_files *files, uint64_t start, uint64_t end);
/* What an errno of these two means, in words. */
const char *tm_files_why(int error);

/* Whether the open file is an ELF program or library (data: or one of relocatable data, as dwz
 * makes), and its build id in hexadecimal; "" if it has none. */
bool tm_files_is_elf(int file, bool data, char id[static TM_BUILD_ID_TEXT]);

/* A build id in hexadecimal, and back: how many bytes, 0 if it is none. */
void tm_files_id_text(const unsigned char *bytes, size_t count, char id[static TM_BUILD_ID_TEXT]);
size_t tm_files_id_bytes(const char *id, unsigned char bytes[static TM_BUILD_ID_TEXT / 2]);

#endif

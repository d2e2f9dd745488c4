/* symbols_debug_file.h: where the debug information of a program or library is that has been put
 * into a file of its own: by build id or by .gnu_debuglink, as GDB's manual describes both
 * ("Debugging Information in Separate Files"), and what several such files share in one that dwz
 * made (.gnu_debugaltlink). A file is taken only if its build id, or the checksum that the link
 * has, fits.
 */
#ifndef TIDEMARK_REPORT_SYMBOLS_DEBUG_FILE_H
#define TIDEMARK_REPORT_SYMBOLS_DEBUG_FILE_H

#include "profiler/report/symbols_files.h"

#include <limits.h>
#include <sys/stat.h>

/* A file as it is told to the user and as it can be opened. */
struct tm_debug_file {
    int file; /* open; -1: none */
    char path[PATH_MAX];
};

/* "/usr/lib/debug/.build-id/12/34….debug"; "" if there is no id. */
void tm_debug_file_name(const char *id, char path[static PATH_MAX]);
/* The debug file of the ELF file at path, that main is. id: "" if it has none; link: NULL if it
 * has none. */
struct tm_debug_file tm_debug_file_find(const struct tm_files *files, const char *path,
                                        const struct stat *main, const char *id, const char *link,
                                        uint32_t crc);
/* Only by build id: for a program that is not there itself. */
struct tm_debug_file tm_debug_file_by_id(const struct tm_files *files, const char *id);
/* The file that the debug file at path shares with others. */
struct tm_debug_file tm_debug_file_shared(const struct tm_files *files, const char *path,
                                          const char *id, const char *link);

#endif

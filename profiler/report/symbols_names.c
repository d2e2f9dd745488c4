/* symbols_names.c: see symbols_names.h. libiberty demangles. A mangled name of a few bytes can
 * stand for gigabytes of text, so the text is taken piece by piece and what is beyond the limit
 * ends the demangling with longjmp: the callback has no other way to do so. libiberty keeps what it
 * needs meanwhile on the stack, and that is also why long names stay mangled.
 */
#include "profiler/report/symbols_names.h"

#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_BYTES = 65536,
    /* Bytes of a mangled name that is demangled. libiberty's own limit is 1024, which templates
     * exceed; without it, it takes stack in proportion to the name (symbols_names test). */
    MANGLED_LIMIT = 4096,
};

struct tm_names_chunk {
    struct tm_names_chunk *next;
    size_t used;
    char bytes[CHUNK_BYTES];
};

const char *tm_names_keep(struct tm_names *names, const char *text, size_t length)
{
    length = strnlen(text, length);
    size_t kept = length < TM_NAME_LIMIT ? length : TM_NAME_LIMIT - 1;
    struct tm_names_chunk *chunk = names->chunks;
    if (!chunk || CHUNK_BYTES - chunk->used < kept + 1) {
        chunk = malloc(sizeof *chunk);
        if (!chunk)
            return NULL;
        chunk->next = names->chunks;
        chunk->used = 0;
        names->chunks = chunk;
    }
    char *to = chunk->bytes + chunk->used;
    memcpy(to, text, kept);
    to[kept] = '\0';
    if (kept < length)
        memcpy(to + kept - 3, "...", 3);
    chunk->used += kept + 1;
    return to;
}

struct demangled {
    jmp_buf full;
    size_t used;
    char text[TM_NAME_LIMIT + 1]; /* one more than is kept, so that the end is marked */
};

static void take_piece(const char *piece, size_t length, void *context)
{
    struct demangled *to = context;
    size_t room = TM_NAME_LIMIT - to->used;
    size_t taken = length < room ? length : room;
    if (taken > 0) /* libiberty's piece of no bytes is no pointer */
        memcpy(to->text + to->used, piece, taken);
    to->used += taken;
    if (to->used == TM_NAME_LIMIT)
        longjmp(to->full, 1);
}

/* Whether the name is mangled and to->text its meaning. */
static bool demangle(const char *name, struct demangled *to)
{
    to->used = 0;
    if (setjmp(to->full) != 0)
        return true;
    if (rust_demangle_callback(name, DMGL_PARAMS | DMGL_ANSI, take_piece, to) != 0)
        return true;
    to->used = 0;
    return cplus_demangle_v3_callback(name, DMGL_PARAMS | DMGL_ANSI | DMGL_NO_RECURSE_LIMIT,
                                      take_piece, to) != 0;
}

const char *tm_names_function(struct tm_names *names, const char *name)
{
    char plain[MANGLED_LIMIT];
    struct demangled to;
    size_t length = strnlen(name, MANGLED_LIMIT);
    if (length == MANGLED_LIMIT)
        return tm_names_keep(names, name, SIZE_MAX);
    const char *version = memchr(name, '@', length); /* symbol@VERSION, symbol@@VERSION */
    if (version && version > name)
        length = (size_t)(version - name);
    memcpy(plain, name, length);
    plain[length] = '\0';
    /* LLVM's mark of a local function that became global; Rust's hash is in front of it. */
    char *llvm = strstr(plain, ".llvm.");
    if (llvm && plain[0] == '_')
        *llvm = '\0';
    if (plain[0] != '_' || !demangle(plain, &to))
        return tm_names_keep(names, plain, length);
    return tm_names_keep(names, to.text, to.used);
}

void tm_names_note(struct tm_names *names, const char *format, ...)
{
    char text[2 * TM_NAME_LIMIT];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *note = length < 0 ? NULL : tm_names_keep(names, text, sizeof text);
    if (note && names->note_count == names->note_room) {
        size_t room = names->note_room ? names->note_room * 2 : 16;
        const char **notes = realloc(names->notes, room * sizeof *notes);
        if (!notes)
            return;
        names->notes = notes;
        names->note_room = room;
    }
    if (note)
        names->notes[names->note_count++] = note;
}

void tm_names_free(struct tm_names *names)
{
    while (names->chunks) {
        struct tm_names_chunk *chunk = names->chunks;
        names->chunks = chunk->next;
        free(chunk);
    }
    free(names->notes);
    *names = (struct tm_names){.chunks = NULL};
}

/* config.h: the variable TIDEMARK, read once at start by preload/start.c. */
#ifndef TIDEMARK_PRELOAD_CONFIG_H
#define TIDEMARK_PRELOAD_CONFIG_H

#include "profiler/record/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tm_config {
    struct tm_record_settings record; /* for tm_record_start; its signal for tm_signals_start */
    bool retain_set; /* retain was given: call tm_set_retain(retain_bytes, retain_percent) */
    size_t retain_bytes;
    unsigned retain_percent;
    bool check_full; /* check=full: call tm_set_check_full() */
};

/* Fills config with the defaults and what value (of TIDEMARK; may be NULL) changes. A key that is
 * not known or a value that is not allowed costs one line on stderr and leaves the default.
 * trusted: false in a set-id process (getauxval(AT_SECURE)), whose caller must have no say in what
 * it does: the value is then ignored in silence, and the recorder is closed. Returns the number of
 * complaints. Allocates nothing. */
unsigned tm_config_read(const char *value, bool trusted, struct tm_config *config);

#endif

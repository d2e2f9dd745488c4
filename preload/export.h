/* export.h: how a symbol of libtidemark.so is made visible, and put under a second name. */
#ifndef TIDEMARK_PRELOAD_EXPORT_H
#define TIDEMARK_PRELOAD_EXPORT_H

#define EXPORT __attribute__((visibility("default")))

/* gcc compares the attributes of a symbol and its alias; clang 14 has no way to copy them. */
#if __has_attribute(copy)
#define ALIAS_OF(name) EXPORT __attribute__((alias(#name), copy(name)))
#else
#define ALIAS_OF(name) EXPORT __attribute__((alias(#name)))
#endif

#endif

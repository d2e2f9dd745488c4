/* signals.h: the signal that asks for a snapshot, called by preload/start.c. */
#ifndef TIDEMARK_PRELOAD_SIGNALS_H
#define TIDEMARK_PRELOAD_SIGNALS_H

/* Installs the handler for signal_number (0: none), if its disposition is the default: a handler,
 * or an ignored signal, that the program or its parent set up stays as it is. Says in
 * tidemark_status which. Call after tm_record_start, once. */
void tm_signals_start(int signal_number);

/* In the child of a fork: the handlers are this process's own now. */
void tm_signals_fork_child(void);

#endif

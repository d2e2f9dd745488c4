/* summary.h: exit=summary: what the process's memory came to, in a few lines on stderr. */
#ifndef TIDEMARK_RECORD_SUMMARY_H
#define TIDEMARK_RECORD_SUMMARY_H

void tm_summary_say(void);

#endif

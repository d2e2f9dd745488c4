/* command_metrics.c: `tidemark metrics`: to stdout, into a file that is whole at every moment, or
 * served. */
#include "profiler/report/command.h"
#include "profiler/report/metrics.h"
#include "profiler/report/options.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void print_help(FILE *out)
{
    fputs(
        "usage: tidemark metrics [--format openmetrics|text] [--output FILE.prom]\n"
        "       tidemark metrics --listen 127.0.0.1:PORT [--listen-any]\n\n"
        "Writes what the memory of each process under Tidemark does, as `tidemark top` shows it, "
        "for\n"
        "Prometheus and its like: tidemark_rss_bytes, tidemark_live_bytes, tidemark_pinned_bytes,\n"
        "tidemark_cached_bytes, tidemark_taken_bytes_total, … with the labels pid, program and "
        "user;\n"
        "tidemark_allocated_bytes_total only of processes that record call sites.\n\n"
        "  --format FORMAT    openmetrics (default), or text: Prometheus's older format\n"
        "  --output FILE      replace FILE at once, for node_exporter's textfile collector: a "
        "timer\n"
        "                     runs `tidemark metrics --output DIRECTORY/tidemark.prom`\n"
        "  --listen ADDRESS   serve http://ADDRESS/metrics, in the format that the client asks "
        "for;\n"
        "                     [::1]:PORT for IPv6, port 0: a free one, which is told on stderr\n"
        "  --listen-any       ADDRESS may be another than a loopback one\n\n"
        "`tidemark top --help` tells what is counted and what is estimated. Exit status: 0 "
        "written,\n"
        "1 not, 2 bad usage.\n",
        out);
}

struct options {
    enum tm_metrics_format format;
    bool format_given, anywhere;
    const char *output, *listen;
};

/* -1 to go on, or the exit status. */
static bool take(int option, char *value, void *given)
{
    struct options *options = given;
    switch (option) {
    case 'f':
        options->format_given = true;
        options->format = strcmp(value, "text") == 0 ? TM_METRICS_TEXT : TM_METRICS_OPENMETRICS;
        if (options->format == TM_METRICS_OPENMETRICS && strcmp(value, "openmetrics") != 0) {
            tm_error("metrics: --format %s: give openmetrics or text", value);
            return false;
        }
        return true;
    case 'o':
        options->output = value;
        return true;
    case 'l':
        options->listen = value;
        return true;
    default:
        options->anywhere = true;
        return true;
    }
}

static int parse(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"format", required_argument, NULL, 'f'}, {"output", required_argument, NULL, 'o'},
        {"listen", required_argument, NULL, 'l'}, {"listen-any", no_argument, NULL, 'a'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    int result = tm_parse_options(argc, argv, known, print_help, take, options);
    if (result >= 0)
        return result;
    if (optind != argc) {
        tm_error("metrics: '%s' is one argument too many; `tidemark metrics --help` lists the "
                 "options",
                 argv[optind]);
        return 2;
    }
    if (options->listen != NULL && (options->output != NULL || options->format_given)) {
        tm_error("metrics: --listen serves what the client asks for: leave --output and --format "
                 "out");
        return 2;
    }
    if (options->anywhere && options->listen == NULL) {
        tm_error("metrics: --listen-any says nothing without --listen ADDRESS:PORT");
        return 2;
    }
    return -1;
}

static int write_to(FILE *out, enum tm_metrics_format format, const char *name)
{
    int error = tm_metrics_write(out, format);
    if (error == 0 && fflush(out) != 0)
        error = errno;
    if (error != 0)
        tm_error("the metrics could not be written to %s: %s", name, strerror(error));
    return error == 0 ? 0 : 1;
}

/* Beside the file under another name, which no collector reads; then renamed. */
static int write_file(const char *name, enum tm_metrics_format format)
{
    char temporary[PATH_MAX];
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.XXXXXX", name) >= sizeof temporary) {
        tm_error("metrics: --output: the name is longer than %d bytes", PATH_MAX);
        return 2;
    }
    int fd = mkostemp(temporary, O_CLOEXEC);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
    if (out == NULL) {
        tm_error("%s cannot be made: %s; name a directory that exists and may be written to",
                 temporary, strerror(errno));
        return 1;
    }
    int result = write_to(out, format, temporary);
    /* The collector runs as another user. */
    bool closed = fchmod(fd, 0644) == 0;
    closed = fclose(out) == 0 && closed;
    if (result == 0 && (!closed || rename(temporary, name) != 0)) {
        tm_error("%s could not be replaced: %s", name, strerror(errno));
        result = 1;
    }
    if (result != 0)
        unlink(temporary);
    return result;
}

int tm_command_metrics(int argc, char **argv)
{
    struct options options = {.format = TM_METRICS_OPENMETRICS};
    int result = parse(argc, argv, &options);
    if (result >= 0)
        return result;
    if (options.listen != NULL)
        return tm_metrics_serve(options.listen, options.anywhere);
    if (options.output != NULL)
        return write_file(options.output, options.format);
    return write_to(stdout, options.format, "stdout");
}

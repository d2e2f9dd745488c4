/* spawn_inspect.c: what kind of program a command is, found from its files alone: nothing is
 * executed. It follows PATH as execvp does, then #! lines, down to the ELF file that the kernel
 * starts. See spawn.h.
 */
#include "profiler/report/command.h"
#include "profiler/report/spawn.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { INTERPRETER_DEPTH = 4 }; /* #! lines that the kernel follows */

#if defined(__x86_64__)
enum { OWN_MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { OWN_MACHINE = EM_AARCH64 };
#else
#error "name this machine's ELF constant here"
#endif

/* An executable regular file is what execvp stops at; *error remembers the most telling failure. */
static bool startable(const char *path, int *error)
{
    struct stat about;
    if (stat(path, &about) != 0) {
        if (errno != ENOENT && errno != ENOTDIR)
            *error = errno;
        return false;
    }
    if (!S_ISREG(about.st_mode) || access(path, X_OK) != 0) {
        *error = EACCES;
        return false;
    }
    return true;
}

static char *find_in_path(const char *name, int *error)
{
    *error = ENOENT;
    if (strchr(name, '/'))
        return startable(name, error) ? strdup(name) : NULL;
    const char *path = getenv("PATH");
    if (!path)
        path = "/bin:/usr/bin";
    while (*name) {
        size_t length = strcspn(path, ":");
        char *candidate;
        int wrote = length ? asprintf(&candidate, "%.*s/%s", (int)length, path, name)
                           : asprintf(&candidate, "./%s", name);
        if (wrote < 0)
            return NULL;
        if (startable(candidate, error))
            return candidate;
        free(candidate);
        if (!path[length])
            return NULL;
        path += length + 1;
    }
    return NULL;
}

/* python, python3, python3.11, python3.11d and the like. */
static bool python_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (strncmp(name, "python", 6) != 0)
        return false;
    name += 6;
    name += strspn(name, "0123456789.");
    return name[0] == '\0' || (name[1] == '\0' && strchr("dmt", name[0]));
}

static bool is_python(const char *path)
{
    if (python_name(path))
        return true;
    char *resolved = realpath(path, NULL);
    bool python = resolved && python_name(resolved);
    free(resolved);
    return python;
}

/* The program that a #! line starts, looked up in PATH where it goes through env; `line` is cut to
 * pieces. */
static char *interpreter_of(char *line)
{
    char *state = NULL;
    char *word = strtok_r(line, " \t", &state);
    if (!word)
        return NULL;
    const char *slash = strrchr(word, '/');
    if (strcmp(slash ? slash + 1 : word, "env") != 0)
        return strdup(word);
    while ((word = strtok_r(NULL, " \t", &state)) && (word[0] == '-' || strchr(word, '=')))
        ;
    int error;
    return word ? find_in_path(word, &error) : NULL;
}

static enum tm_preload_obstacle obstacle_of_elf(int fd, const Elf64_Ehdr *head)
{
    if (head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_machine != OWN_MACHINE)
        return TM_PRELOAD_OTHER_ABI;
    for (unsigned i = 0; i < head->e_phnum && head->e_phentsize == sizeof(Elf64_Phdr); i++) {
        Elf64_Phdr segment;
        off_t at = (off_t)(head->e_phoff + i * sizeof segment);
        if (pread(fd, &segment, sizeof segment, at) != sizeof segment)
            break;
        if (segment.p_type != PT_INTERP)
            continue;
        char loader[256] = "";
        size_t length = segment.p_filesz < sizeof loader ? segment.p_filesz : sizeof loader - 1;
        if (pread(fd, loader, length, (off_t)segment.p_offset) < 0)
            return TM_PRELOAD_WORKS;
        return strstr(loader, "ld-musl") ? TM_PRELOAD_OTHER_ABI : TM_PRELOAD_WORKS;
    }
    return TM_PRELOAD_STATIC;
}

/* The loader drops LD_PRELOAD where the kernel raises privileges (AT_SECURE); that does not happen
 * to a program that is setuid to the user who starts it already. */
static bool raises_privileges(int fd)
{
    struct stat about;
    if (fstat(fd, &about) != 0)
        return false;
    if ((about.st_mode & S_ISUID) && about.st_uid != getuid())
        return true;
    if ((about.st_mode & S_ISGID) && (about.st_mode & S_IXGRP) && about.st_gid != getgid())
        return true;
    return getuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0;
}

/* Follows one file: an ELF file ends the search, a #! line names the next file (returned,
 * malloc'ed). */
static char *look_at(const char *path, struct tm_program *program)
{
    char start[512] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL; /* executable but not readable: nothing can be told, and the kernel decides */
    ssize_t got = pread(fd, start, sizeof start - 1, 0);
    char *next = NULL;
    if (got >= (ssize_t)sizeof(Elf64_Ehdr) && memcmp(start, ELFMAG, SELFMAG) == 0) {
        Elf64_Ehdr head;
        memcpy(&head, start, sizeof head);
        program->binary = strdup(path);
        program->obstacle = obstacle_of_elf(fd, &head);
        if (program->obstacle == TM_PRELOAD_WORKS && raises_privileges(fd))
            program->obstacle = TM_PRELOAD_PRIVILEGED;
    } else if (got > 2 && start[0] == '#' && start[1] == '!') {
        start[strcspn(start, "\n")] = '\0';
        next = interpreter_of(start + 2);
    }
    close(fd);
    return next;
}

void tm_program_inspect(const char *command, struct tm_program *program)
{
    *program = (struct tm_program){0};
    program->path = find_in_path(command, &program->error);
    if (!program->path)
        return;
    program->error = 0;
    program->python = is_python(command) || is_python(program->path);
    char *path = strdup(program->path);
    for (int depth = 0; path && depth <= INTERPRETER_DEPTH; depth++) {
        char *next = look_at(path, program);
        if (next && is_python(next))
            program->python = true;
        free(path);
        path = next;
    }
    free(path);
}

void tm_program_free(struct tm_program *program)
{
    free(program->path);
    free(program->binary);
    *program = (struct tm_program){0};
}

void tm_program_warn(const struct tm_program *program)
{
    const char *binary = program->binary;
    switch (program->obstacle) {
    case TM_PRELOAD_WORKS:
        break;
    case TM_PRELOAD_STATIC:
        tm_error("'%s' is statically linked, so no library can be preloaded into it: it keeps its "
                 "own allocator; use a dynamically linked build",
                 binary);
        break;
    case TM_PRELOAD_OTHER_ABI:
        tm_error("'%s' is built for another machine, word size or C library than libtidemark.so, "
                 "so its loader will not take it; use a build for this system's glibc",
                 binary);
        break;
    case TM_PRELOAD_PRIVILEGED:
        tm_error("'%s' raises its privileges (setuid, setgid or file capabilities), so the loader "
                 "ignores LD_PRELOAD; start it as the user it switches to, or use a copy without "
                 "those bits",
                 binary);
        break;
    }
}

bool tm_is_library(const char *path)
{
    Elf64_Ehdr head;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = pread(fd, &head, sizeof head, 0);
    close(fd);
    return got == sizeof head && memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 &&
           head.e_ident[EI_CLASS] == ELFCLASS64 && head.e_machine == OWN_MACHINE &&
           head.e_type == ET_DYN;
}

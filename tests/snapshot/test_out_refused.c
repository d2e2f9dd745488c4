/* test_out_refused.c: out.c where the file system or a filter of system calls refuses something.
 * Each case runs in a process of its own, which refuses it to itself by seccomp, as no file system
 * here has all these gaps. Whatever is refused, the directory then has one whole file under its
 * final name, or nothing of ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "profiler/record/out.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    REFUSALS = 5,
    SIZE = 50000, /* more than is copied at once */
    OPEN_FLAGS = 2,
};

/* A system call that answers error, if it has all these flags of open in its third argument. */
struct refusal {
    long call;
    int error;
    unsigned flags;
};

/* What the process that writes found; shared with the one that tests. */
struct found {
    bool ended;
    int opened, committed; /* a negative and a positive errno */
    struct tm_outcome outcome;
};

struct fixture {
    char directory[64];
    struct found *found;
    struct tm_record_settings settings;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    strcpy(fixture.directory, "/tmp/tidemark-test-XXXXXX");
    assert_non_null(mkdtemp(fixture.directory));
    snprintf(fixture.settings.out, sizeof fixture.settings.out, "%s/%%n", fixture.directory);
    fixture.found = mmap(NULL, sizeof *fixture.found, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(fixture.found != MAP_FAILED);
    *state = &fixture;
    return 0;
}

static void path_in(const struct fixture *fixture, char *path, size_t size, const char *name)
{
    snprintf(path, size, "%s/%s", fixture->directory, name);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    struct dirent *entry;
    char path[400];
    DIR *directory = opendir(fixture->directory);
    while ((entry = readdir(directory)) != NULL) {
        path_in(fixture, path, sizeof path, entry->d_name);
        unlink(path);
    }
    closedir(directory);
    munmap(fixture->found, sizeof *fixture->found);
    return rmdir(fixture->directory);
}

static void refuse(const struct refusal *refusals)
{
    struct sock_filter filter[5 * REFUSALS + 1];
    struct sock_fprog program = {.filter = filter};
    const unsigned short load = BPF_LD | BPF_W | BPF_ABS, equal = BPF_JMP | BPF_JEQ | BPF_K;
    unsigned short used = 0;
    for (size_t i = 0; i < REFUSALS && refusals[i].error != 0; i++) {
        const struct refusal *r = &refusals[i];
        filter[used++] =
            (struct sock_filter)BPF_STMT(load, (unsigned)offsetof(struct seccomp_data, nr));
        filter[used++] = (struct sock_filter)BPF_JUMP(equal, (unsigned)r->call, 0,
                                                      (unsigned char)(r->flags != 0 ? 4 : 1));
        if (r->flags != 0) {
            filter[used++] = (struct sock_filter)BPF_STMT(
                load, (unsigned)offsetof(struct seccomp_data, args[OPEN_FLAGS]));
            filter[used++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, r->flags);
            filter[used++] = (struct sock_filter)BPF_JUMP(equal, r->flags, 0, 1);
        }
        filter[used++] =
            (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)r->error);
    }
    filter[used++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    program.len = used;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(77);
}

static unsigned char byte_at(size_t at)
{
    return (unsigned char)(at * 7 >> 3);
}

/* Another process makes a file under the name that was found free. */
static void be_quicker(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0 || write(fd, "theirs", 6) != 6)
        _exit(1);
    close(fd);
}

static void write_file(struct fixture *fixture, const struct refusal *refusals, bool quicker,
                       bool abandon)
{
    static unsigned char content[SIZE];
    struct found *found = fixture->found;
    struct tm_job job = {
        .settings = &fixture->settings,
        .pid = 42,
        .number = 1,
        .realtime_ns = 1234,
        .outcome = &found->outcome,
        .told = &found->outcome,
    };
    for (size_t i = 0; i < SIZE; i++)
        content[i] = byte_at(i);
    refuse(refusals);
    found->opened = tm_out_open(&job, "prog");
    if (found->opened >= 0) {
        if (quicker)
            be_quicker(found->outcome.path);
        if (write(found->opened, content, SIZE) != SIZE)
            _exit(1);
        if (abandon)
            tm_out_abandon(&job, found->opened);
        else
            found->committed = tm_out_commit(&job, "prog", found->opened);
    }
    found->ended = true;
    _exit(0);
}

static void in_process(struct fixture *fixture, const struct refusal *refusals, bool quicker,
                       bool abandon)
{
    int status;
    memset(fixture->found, 0, sizeof *fixture->found);
    pid_t child = fork();
    if (child == 0)
        write_file(fixture, refusals, quicker, abandon);
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip(); /* no seccomp here */
    assert_int_equal(status, 0);
    assert_true(fixture->found->ended);
    assert_string_equal(fixture->found->outcome.temporary, "");
}

static int entries(const struct fixture *fixture)
{
    int count = 0;
    DIR *directory = opendir(fixture->directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 2; /* . and .. */
}

static void assert_whole(const struct fixture *fixture, const char *name)
{
    static unsigned char content[SIZE + 1];
    char path[400];
    path_in(fixture, path, sizeof path, name);
    assert_string_equal(fixture->found->outcome.path, path);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, content, sizeof content), SIZE);
    close(fd);
    for (size_t i = 0; i < SIZE; i++)
        assert_int_equal(content[i], byte_at(i));
}

#define NO_UNNAMED                                                                                 \
    {                                                                                              \
        SYS_openat, EOPNOTSUPP, O_TMPFILE                                                          \
    }

static void a_whole_file_comes_about(void **state)
{
    static const struct refusal cases[][REFUSALS] = {
        {{0}},
        {NO_UNNAMED},
        {NO_UNNAMED, {SYS_renameat2, EINVAL, 0}},
        {NO_UNNAMED, {SYS_renameat2, ENOSYS, 0}, {SYS_linkat, EPERM, 0}},
        {{SYS_linkat, EPERM, 0}},
        {{SYS_linkat, EACCES, 0}, {SYS_renameat2, EPERM, 0}},
    };
    struct fixture *fixture = *state;
    char path[400];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        in_process(fixture, cases[i], false, false);
        assert_true(fixture->found->opened >= 0);
        assert_int_equal(fixture->found->committed, 0);
        assert_whole(fixture, "1");
        assert_int_equal(entries(fixture), 1);
        path_in(fixture, path, sizeof path, "1");
        assert_int_equal(unlink(path), 0);
    }
}

static void nothing_is_left_of_a_failure(void **state)
{
    static const struct {
        struct refusal refusals[REFUSALS];
        int opened, committed;
        const char *step;
    } cases[] = {
        {{{SYS_newfstatat, EACCES, 0}}, -EACCES, 0, "name"},
        {{{SYS_openat, EACCES, O_CREAT}, NO_UNNAMED}, -EACCES, 0, "open"},
        {{{SYS_openat, EEXIST, O_CREAT}, NO_UNNAMED}, -EEXIST, 0, "open"},
        {{NO_UNNAMED, {SYS_renameat2, EINVAL, 0}, {SYS_linkat, EPERM, 0}, {SYS_renameat, EROFS, 0}},
         0,
         EROFS,
         "rename"},
        {{NO_UNNAMED, {SYS_renameat2, EACCES, 0}}, 0, EACCES, "rename"},
        {{NO_UNNAMED, {SYS_close, EDQUOT, 0}}, 0, EDQUOT, "open"},
        {{{SYS_linkat, EPERM, 0}, {SYS_openat, ENOSPC, O_CREAT}}, 0, ENOSPC, "open"},
        {{{SYS_linkat, EPERM, 0}, {SYS_pread64, EIO, 0}}, 0, EIO, "write"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct found *found = fixture->found;
        in_process(fixture, cases[i].refusals, false, false);
        if (cases[i].opened < 0)
            assert_int_equal(found->opened, cases[i].opened);
        else
            assert_true(found->opened >= 0);
        assert_int_equal(found->committed, cases[i].committed);
        assert_string_equal(found->outcome.step, cases[i].step);
        assert_int_equal(entries(fixture), 0);
    }
}

static void somebody_elses_file_stays(void **state)
{
    static const struct refusal cases[][REFUSALS] = {
        {{0}},
        {NO_UNNAMED},
        {NO_UNNAMED, {SYS_renameat2, EINVAL, 0}},
        {NO_UNNAMED, {SYS_renameat2, EINVAL, 0}, {SYS_linkat, EPERM, 0}},
    };
    struct fixture *fixture = *state;
    char ours[400], theirs[400], text[8];
    path_in(fixture, theirs, sizeof theirs, "1");
    path_in(fixture, ours, sizeof ours, "2");
    for (size_t i = 0; i < 2 * (sizeof cases / sizeof cases[0]); i++) {
        bool has_number = i % 2 == 0;
        snprintf(fixture->settings.out, sizeof fixture->settings.out, "%s/%s", fixture->directory,
                 has_number ? "%n" : "1");
        in_process(fixture, cases[i / 2], true, false);
        int fd = open(theirs, O_RDONLY);
        assert_int_equal(read(fd, text, sizeof text), 6);
        assert_memory_equal(text, "theirs", 6);
        close(fd);
        assert_int_equal(unlink(theirs), 0);
        assert_int_equal(fixture->found->committed, has_number ? 0 : EEXIST);
        if (has_number) {
            assert_int_equal(fixture->found->outcome.number, 2);
            assert_whole(fixture, "2");
            assert_int_equal(unlink(ours), 0);
        }
        assert_int_equal(entries(fixture), 0);
    }
}

static void abandoned_files_are_gone(void **state)
{
    static const struct refusal named[REFUSALS] = {NO_UNNAMED}, unnamed[REFUSALS] = {{0}};
    in_process(*state, named, false, true);
    assert_true(((struct fixture *)*state)->found->opened >= 0);
    assert_int_equal(entries(*state), 0);
    in_process(*state, unnamed, false, true);
    assert_int_equal(entries(*state), 0);
}

/* 1000 names are tried; then the number is one that nobody guesses. */
static void taken_names_are_not_the_end(void **state)
{
    static const struct refusal none[REFUSALS] = {{0}};
    struct fixture *fixture = *state;
    char path[400], name[16];
    for (int i = 1; i <= 1000; i++) {
        snprintf(name, sizeof name, "%d", i);
        path_in(fixture, path, sizeof path, name);
        assert_int_equal(symlink("/nowhere", path), 0);
    }
    in_process(fixture, none, false, false);
    assert_int_equal(fixture->found->committed, 0);
    assert_whole(fixture, "1234");
    /* A pattern without a number has one name. */
    snprintf(fixture->settings.out, sizeof fixture->settings.out, "%s/7", fixture->directory);
    in_process(fixture, none, false, false);
    assert_int_equal(fixture->found->opened, -EEXIST);
}

/* A relative path where the kernel does not tell the directory. */
static void a_relative_path_suffices(void **state)
{
    static const struct refusal cases[][REFUSALS] = {
        {{SYS_getcwd, ENOENT, 0}},
        {{SYS_getcwd, ENOENT, 0}, NO_UNNAMED},
    };
    struct fixture *fixture = *state;
    char path[400];
    path_in(fixture, path, sizeof path, "snapshot");
    assert_int_equal(chdir(fixture->directory), 0);
    strcpy(fixture->settings.out, "snapshot");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        in_process(fixture, cases[i], false, false);
        assert_int_equal(fixture->found->committed, 0);
        assert_string_equal(fixture->found->outcome.path, "snapshot");
        assert_int_equal(entries(fixture), 1);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(chdir("/"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_whole_file_comes_about, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_left_of_a_failure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(somebody_elses_file_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(abandoned_files_are_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(taken_names_are_not_the_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_relative_path_suffices, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

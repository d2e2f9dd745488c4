/* test_names.c: the writer's file under a temporary name, for file systems that know no file
 * without one, in a directory where somebody guessed the names: nothing that is there is opened,
 * followed or replaced. Which system calls the file system knows is made up by a seccomp filter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "profiler/record/out.h"
#include "profiler/record/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEMPORARIES = 16, KINDS = 6, NO_FILTER = 77 };

static char directory[64], victim[128];
static struct tm_record_settings settings;
static struct tm_outcome outcome;
static struct tm_job job;

static const char *in_directory(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static const char *temporary(unsigned number)
{
    char name[64];
    snprintf(name, sizeof name, ".tidemark.42.%llx.tmp",
             (unsigned long long)job.realtime_ns + number);
    return in_directory(name);
}

/* A trap of one of KINDS. */
static void plant(const char *path, unsigned kind)
{
    switch (kind) {
    case 0:
        assert_int_equal(symlink(victim, path), 0);
        break;
    case 1:
        assert_int_equal(symlink("/nowhere/place", path), 0);
        break;
    case 2:
        assert_int_equal(link(victim, path), 0);
        break;
    case 3:
        assert_int_equal(mkfifo(path, 0666), 0);
        break;
    case 4:
        assert_int_equal(mkdir(path, 0777), 0);
        break;
    default:
        assert_int_equal(close(open(path, O_WRONLY | O_CREAT | O_EXCL, 0666)), 0);
        break;
    }
}

/* openat(O_TMPFILE) fails always, renameat2 and linkat where asked for. False: there are no filters
 * here. */
static bool make_poor(bool without_rename, bool without_link)
{
    const uint32_t renames = without_rename ? SYS_renameat2 : UINT32_MAX;
    const uint32_t links = without_link ? SYS_linkat : UINT32_MAX;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, renames, 6, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, links, 6, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 6),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, O_TMPFILE),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, O_TMPFILE, 0, 3),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* Opens, lets somebody take the name meanwhile, and commits, in a process with that file system.
 * 0, or an errno. */
static int write_poorly(bool without_rename, bool without_link, const char *taken)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        if (!make_poor(without_rename, without_link))
            _exit(NO_FILTER);
        int fd = tm_out_open(&job, "program");
        if (fd < 0)
            _exit(-fd);
        if (outcome.temporary[0] == '\0' || write(fd, "ours", 4) != 4)
            _exit(EINVAL);
        if (taken != NULL && symlink(victim, taken) != 0)
            _exit(EINVAL);
        _exit(tm_out_commit(&job, "program", fd));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NO_FILTER)
        skip();
    return WEXITSTATUS(status);
}

static void assert_content(const char *path, const char *expected)
{
    char text[16] = "";
    int fd = open(path, O_RDONLY | O_NOFOLLOW);
    assert_true(fd >= 0);
    assert_true(read(fd, text, sizeof text - 1) >= 0);
    close(fd);
    assert_string_equal(text, expected);
}

static void assert_ours(const char *path)
{
    struct stat status;
    assert_content(path, "ours");
    assert_int_equal(lstat(path, &status), 0);
    assert_int_equal(status.st_mode, S_IFREG | 0600);
    assert_int_equal(status.st_nlink, 1);
}

static int prepare(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/tidemark-test-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(victim, sizeof victim, "%s/victim", directory);
    int fd = open(victim, O_WRONLY | O_CREAT | O_EXCL, 0666);
    snprintf(settings.out, sizeof settings.out, "%s/%%p.%%n", directory);
    memset(&outcome, 0, sizeof outcome);
    job = (struct tm_job){.settings = &settings,
                          .pid = 42,
                          .number = 1,
                          .realtime_ns = UINT64_C(0x123456789abcdef),
                          .outcome = &outcome,
                          .told = &outcome};
    return write(fd, "victim", 6) == 6 && close(fd) == 0 ? 0 : -1;
}

static int tidy(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", directory);
    return system(command); /* NOLINT(cert-env33-c): the path is this test's own */
}

static void test_temporary_names_are_taken(void **state)
{
    struct stat before[TEMPORARIES], after;
    (void)state;
    for (unsigned i = 0; i < TEMPORARIES - 1; i++)
        plant(temporary(i), i % KINDS);
    for (unsigned i = 0; i < TEMPORARIES - 1; i++)
        assert_int_equal(lstat(temporary(i), &before[i]), 0);
    assert_int_equal(write_poorly(false, false, NULL), 0);
    assert_ours(in_directory("42.1"));
    for (unsigned i = 0; i < TEMPORARIES - 1; i++) {
        assert_int_equal(lstat(temporary(i), &after), 0);
        assert_int_equal(after.st_ino, before[i].st_ino);
        assert_int_equal(after.st_size, before[i].st_size);
        assert_int_equal(after.st_nlink, before[i].st_nlink);
    }
    assert_int_equal(access(temporary(TEMPORARIES - 1), F_OK), -1);
    assert_content(victim, "victim");
}

static void test_all_temporary_names_are_taken(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TEMPORARIES; i++)
        plant(temporary(i), i % KINDS);
    assert_int_equal(write_poorly(false, false, NULL), EEXIST);
    assert_content(victim, "victim");
    assert_int_equal(access(in_directory("42.1"), F_OK), -1);
}

/* A link to the victim takes the final name while the file is written, whatever the file system can
 * do to give the name to the file. */
static void test_the_final_name_is_taken_meanwhile(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 4; kind++) {
        char taken[256];
        snprintf(taken, sizeof taken, "%s", in_directory("42.1"));
        assert_int_equal(write_poorly((kind & 1) != 0, (kind & 2) != 0, taken), 0);
        assert_ours(in_directory("42.2"));
        assert_content(victim, "victim");
        assert_int_equal(unlink(taken), 0);
        assert_int_equal(unlink(in_directory("42.2")), 0);
        assert_int_equal(access(temporary(0), F_OK), -1);
    }
}

static void test_one_final_name_is_taken_meanwhile(void **state)
{
    (void)state;
    snprintf(settings.out, sizeof settings.out, "%s/%%p", directory);
    for (unsigned kind = 0; kind < 4; kind++) {
        char taken[256];
        snprintf(taken, sizeof taken, "%s", in_directory("42"));
        assert_int_equal(write_poorly((kind & 1) != 0, (kind & 2) != 0, taken), EEXIST);
        assert_content(victim, "victim");
        assert_int_equal(unlink(taken), 0);
        assert_int_equal(access(temporary(0), F_OK), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_temporary_names_are_taken, prepare, tidy),
        cmocka_unit_test_setup_teardown(test_all_temporary_names_are_taken, prepare, tidy),
        cmocka_unit_test_setup_teardown(test_the_final_name_is_taken_meanwhile, prepare, tidy),
        cmocka_unit_test_setup_teardown(test_one_final_name_is_taken_meanwhile, prepare, tidy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

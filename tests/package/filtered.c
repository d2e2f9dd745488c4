/* filtered.c: executes a command under a filter of system calls that kills, as a systemd unit with
 * SystemCallFilter=@system-service has one: of what that set leaves out, mincore(2) is what
 * libunwind calls.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sock_filter instructions[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mincore, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof instructions / sizeof instructions[0], instructions};
    if (argc < 2) {
        fprintf(stderr, "usage: %s COMMAND [ARGUMENT...] | %s --break\n", argv[0], argv[0]);
        return 2;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) {
        perror("filtered: prctl");
        return 77;
    }
    if (argv[1][0] == '-') { /* shows that the filter kills, also through the library's mincore */
        static unsigned char pages[1];
        mincore(NULL, 4096, pages);
        return 0;
    }
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 127;
}

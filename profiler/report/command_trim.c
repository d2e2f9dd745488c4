#include "profiler/report/command.h"

int tm_command_trim(int argc, char **argv)
{
    (void)argc, (void)argv;
    tm_error("trim: not built yet");
    return 1;
}

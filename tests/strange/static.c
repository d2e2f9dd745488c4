/* static.c: linked statically: nothing can be preloaded into it. */
#include <stdio.h>

int main(void)
{
    puts("ok");
    return 0;
}

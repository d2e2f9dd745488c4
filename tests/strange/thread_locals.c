/* thread_locals.c: loads the libraries that it is given (thread_local.c) until one does not fit,
 * and tells how many did.
 */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    int loaded = 0;
    for (int i = 1; i < argc; i++) {
        void *library = dlopen(argv[i], RTLD_NOW);
        int (*use)(void) =
            library != NULL ? (int (*)(void))dlsym(library, "thread_local_use") : NULL;
        if (use == NULL || use() != 1)
            break;
        loaded++;
    }
    printf("%d\n", loaded);
    return 0;
}

/* thread_local.c: a library with TLS_BYTES of thread-local storage that must lie in the block that
 * the loader made at the start (static TLS), of which little is left for what is loaded later.
 */
#include <string.h>

__thread char thread_local_bytes[TLS_BYTES] __attribute__((tls_model("initial-exec")));

int thread_local_use(void);

int thread_local_use(void)
{
    memset(thread_local_bytes, 1, sizeof thread_local_bytes);
    return thread_local_bytes[sizeof thread_local_bytes - 1];
}
